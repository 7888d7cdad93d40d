//! Bodies that can be told apart at every byte, made without holding them in memory.

use std::io::Read;

/// A body: its bytes follow from its version, so that a byte of another body or of another place shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Number that distinguishes it from all others.
    pub version: u64,
    /// Its length in bytes.
    pub length: u64,
}

impl Pattern {
    /// Fills `buffer` with the bytes from `offset` on.
    pub fn fill(self, offset: u64, buffer: &mut [u8]) {
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let word = word(self.version, at / 8).to_le_bytes();
            let from = usize::try_from(at % 8).expect("less than eight");
            let taken = rest.len().min(8 - from);
            rest[..taken].copy_from_slice(&word[from..from + taken]);
            at += taken as u64;
            rest = &mut rest[taken..];
        }
    }

    /// Reads `body` to its end and compares it with the pattern.
    pub fn check(self, body: &mut dyn Read) -> Result<(), String> {
        let mut received = vec![0; 1 << 18];
        let mut expected = vec![0; 1 << 18];
        let mut offset = 0;
        loop {
            let read = body.read(&mut received).map_err(|error| format!("broke off at {offset}: {error}"))?;
            if read == 0 {
                break;
            }
            self.fill(offset, &mut expected[..read]);
            if received[..read] != expected[..read] {
                return Err(format!("other bytes than {self:?} between {offset} and {}", offset + read as u64));
            }
            offset += read as u64;
        }
        if offset == self.length { Ok(()) } else { Err(format!("{offset} bytes of {self:?}")) }
    }

    /// Returns the body as a reader.
    pub fn reader(self) -> impl Read {
        PatternReader { pattern: self, offset: 0 }
    }
}

struct PatternReader {
    pattern: Pattern,
    offset: u64,
}

impl Read for PatternReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.pattern.length - self.offset).unwrap_or(usize::MAX);
        let read = buffer.len().min(left);
        self.pattern.fill(self.offset, &mut buffer[..read]);
        self.offset += read as u64;
        Ok(read)
    }
}

fn word(version: u64, index: u64) -> u64 {
    let mixed = (version ^ index.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29) ^ index
}

#[test]
fn a_pattern_is_the_same_from_every_offset_and_differs_between_versions() {
    let pattern = Pattern { version: 7, length: 100 };
    let mut whole = vec![0; 100];
    pattern.fill(0, &mut whole);
    for offset in 0..100 {
        let mut part = vec![0; 100 - offset];
        pattern.fill(offset as u64, &mut part);
        assert_eq!(part, whole[offset..]);
    }
    assert!(pattern.check(&mut &whole[..]).is_ok());
    assert!(pattern.check(&mut &whole[..99]).is_err());
    assert!(Pattern { version: 8, length: 100 }.check(&mut &whole[..]).is_err());
}
