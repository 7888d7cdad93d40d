//! Randomness: the system's for production, a seeded sequence for tests that must repeat.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
};

/// A source of random bytes.
pub trait Random: Debug + Send + Sync + 'static {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Random {
    /// Returns `count` characters of `alphabet` (at most 255 of them), uniformly distributed.
    pub fn characters(&self, alphabet: &[u8], count: usize) -> Vec<u8> {
        /// Number of bytes drawn at a time.
        const DRAWN: usize = 64;
        let length = u8::try_from(alphabet.len()).unwrap_or(u8::MAX);
        // Bytes from here on would favour the first characters: they are redrawn.
        let fair = u8::MAX - u8::MAX % length;
        let mut characters = Vec::with_capacity(count);
        while characters.len() < count {
            let mut drawn = [0; DRAWN];
            self.fill(&mut drawn);
            let missing = count - characters.len();
            let usable = drawn.into_iter().filter(|byte| *byte < fair).take(missing);
            characters.extend(usable.map(|byte| alphabet[usize::from(byte % length)]));
        }
        characters
    }
}

/// The operating system's generator, fit for secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// If the operating system has no randomness to give: no id or secret may be made without it.
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// A repeatable sequence (`SplitMix64`), for tests only: the seed determines every value.
#[derive(Debug)]
pub struct SeededRandom {
    state: AtomicU64,
}

impl SeededRandom {
    /// Returns the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.state.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}
