//! Keys in doubt: a write of them may still arrive.
//!
//! ```text
//! leader  PUT document v2: no answer                     the object store (or something before it) still has it
//!         PUT document v2 again: 200
//!         PUT document v3: 200
//!                                                        the first v2 arrives: v3 is gone
//! ```
//!
//! So a key in doubt is not overwritten. This rests on one assumption: a request whose connection is closed takes
//! effect within [`IN_DOUBT_WINDOW`], or never.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use larder_runtime::clock::Clock;

use crate::error::{Error, Result};

/// Time for which a write whose response was lost may still take effect.
pub const IN_DOUBT_WINDOW: Duration = Duration::from_mins(1);

/// Maximum number of distinct keys in doubt. Beyond it, all keys are in doubt.
const MAX_KEYS: usize = 100_000;

/// The writes that must wait while a key is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Conditional writes: unconditional ones risk late arrivals on every store.
    Conditional,
    /// All writes.
    All,
}

/// End of the wait, by the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
struct Deadlines {
    conditional: Duration,
    all: Duration,
}

impl Deadlines {
    fn mark(&mut self, block: Block, until: Duration) {
        self.conditional = self.conditional.max(until);
        if block == Block::All {
            self.all = self.all.max(until);
        }
    }

    fn until(&self, is_conditional: bool) -> Duration {
        if is_conditional { self.conditional } else { self.all }
    }
}

#[derive(Debug, Default)]
struct Marks {
    keys: HashMap<String, Deadlines>,
    all: Deadlines,
}

/// All keys in doubt.
#[derive(Debug)]
pub struct InDoubtKeys {
    clock: Arc<dyn Clock>,
    marks: Mutex<Marks>,
}

impl InDoubtKeys {
    /// Starts without keys in doubt.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, marks: Mutex::default() }
    }

    /// Marks `key` as in doubt from now on for a while.
    pub fn mark(&self, key: &str, block: Block) {
        let now = self.clock.monotonic();
        let until = now + IN_DOUBT_WINDOW;
        let mut marks = self.marks();
        if !marks.keys.contains_key(key) && marks.keys.len() >= MAX_KEYS {
            marks.keys.retain(|_, until| until.conditional > now);
            if marks.keys.len() >= MAX_KEYS {
                marks.all.mark(block, until);
                return;
            }
        }
        marks.keys.entry(key.to_owned()).or_default().mark(block, until);
    }

    /// Checks that `key` may be written now; else fails with [`Error::Throttled`] and the time to wait, since nothing
    /// was written.
    pub fn check(&self, key: &str, is_conditional: bool) -> Result<()> {
        let now = self.clock.monotonic();
        let mut marks = self.marks();
        let all = marks.all.until(is_conditional);
        let own = match marks.keys.get(key) {
            None => Duration::ZERO,
            Some(until) if until.conditional <= now => {
                marks.keys.remove(key);
                Duration::ZERO
            }
            Some(until) => until.until(is_conditional),
        };
        let wait = all.max(own).saturating_sub(now);
        if wait.is_zero() { Ok(()) } else { Err(Error::Throttled { retry_after: Some(wait) }) }
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_runtime::clock::{ManualClock, Timestamp};

    #[test]
    fn a_doubt_bars_its_key_until_it_is_over() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let in_doubt = InDoubtKeys::new(clock.clone());
        in_doubt.mark("k", Block::Conditional);
        assert!(in_doubt.check("k", true).is_err());
        assert!(in_doubt.check("k", false).is_ok());
        in_doubt.mark("k", Block::All);
        assert!(in_doubt.check("k", false).is_err());
        assert!(in_doubt.check("other", true).is_ok());
        clock.advance(IN_DOUBT_WINDOW / 2);
        let error = in_doubt.check("k", true).expect_err("it may still arrive");
        assert!(
            matches!(error, Error::Throttled { retry_after: Some(wait) } if wait == IN_DOUBT_WINDOW / 2),
            "{error:?}"
        );
        in_doubt.mark("k", Block::Conditional);
        clock.advance(IN_DOUBT_WINDOW / 2);
        assert!(in_doubt.check("k", false).is_ok(), "only the last doubt is left");
        assert!(in_doubt.check("k", true).is_err());
        clock.advance(IN_DOUBT_WINDOW / 2);
        assert!(in_doubt.check("k", true).is_ok());
    }

    #[test]
    fn too_many_keys_in_doubt_block_every_key() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let in_doubt = InDoubtKeys::new(clock.clone());
        for key in 0..MAX_KEYS {
            in_doubt.mark(&key.to_string(), Block::Conditional);
        }
        assert!(in_doubt.check("never written", true).is_ok());
        in_doubt.mark("one more", Block::Conditional);
        assert!(in_doubt.check("never written", true).is_err());
        assert!(in_doubt.check("never written", false).is_ok());
        clock.advance(IN_DOUBT_WINDOW);
        assert!(in_doubt.check("never written", true).is_ok());
        in_doubt.mark("another", Block::All);
        assert_eq!(in_doubt.marks().keys.len(), 1, "what is over is forgotten when there is no room");
    }
}
