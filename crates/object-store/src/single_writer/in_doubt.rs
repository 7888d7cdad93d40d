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
//! effect within [`DOUBT`], or never.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use larder_runtime::clock::Clock;

use crate::error::{Error, Result};

/// Time for which a write whose response was lost may still take effect.
pub const DOUBT: Duration = Duration::from_mins(1);

/// Maximum number of distinct keys in doubt. Beyond it, all keys are in doubt.
const MAX_KEYS: usize = 100_000;

/// The writes that must wait while a key is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// Conditional writes: unconditional ones risk late arrivals on every store.
    Conditions,
    /// All writes.
    Everything,
}

/// End of the wait, by the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
struct Until {
    conditions: Duration,
    everything: Duration,
}

impl Until {
    fn raise(&mut self, bar: Bar, until: Duration) {
        self.conditions = self.conditions.max(until);
        if bar == Bar::Everything {
            self.everything = self.everything.max(until);
        }
    }

    fn of(&self, is_conditional: bool) -> Duration {
        if is_conditional { self.conditions } else { self.everything }
    }
}

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<String, Until>,
    all: Until,
}

/// All keys in doubt.
#[derive(Debug)]
pub struct Doubts {
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

impl Doubts {
    /// Starts without keys in doubt.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, known: Mutex::default() }
    }

    /// Marks `key` as in doubt from now on for a while.
    pub fn raise(&self, key: &str, bar: Bar) {
        let now = self.clock.monotonic();
        let until = now + DOUBT;
        let mut known = self.known();
        if !known.keys.contains_key(key) && known.keys.len() >= MAX_KEYS {
            known.keys.retain(|_, until| until.conditions > now);
            if known.keys.len() >= MAX_KEYS {
                known.all.raise(bar, until);
                return;
            }
        }
        known.keys.entry(key.to_owned()).or_default().raise(bar, until);
    }

    /// Checks that `key` may be written now; else fails with [`Error::Throttled`] and the time to wait, since nothing
    /// was written.
    pub fn allow(&self, key: &str, is_conditional: bool) -> Result<()> {
        let now = self.clock.monotonic();
        let mut known = self.known();
        let all = known.all.of(is_conditional);
        let own = match known.keys.get(key) {
            None => Duration::ZERO,
            Some(until) if until.conditions <= now => {
                known.keys.remove(key);
                Duration::ZERO
            }
            Some(until) => until.of(is_conditional),
        };
        let wait = all.max(own).saturating_sub(now);
        if wait.is_zero() { Ok(()) } else { Err(Error::Throttled { retry_after: Some(wait) }) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_runtime::clock::{ManualClock, Timestamp};

    #[test]
    fn a_doubt_bars_its_key_until_it_is_over() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let doubts = Doubts::new(clock.clone());
        doubts.raise("k", Bar::Conditions);
        assert!(doubts.allow("k", true).is_err());
        assert!(doubts.allow("k", false).is_ok());
        doubts.raise("k", Bar::Everything);
        assert!(doubts.allow("k", false).is_err());
        assert!(doubts.allow("other", true).is_ok());
        clock.advance(DOUBT / 2);
        let error = doubts.allow("k", true).expect_err("it may still arrive");
        assert!(matches!(error, Error::Throttled { retry_after: Some(wait) } if wait == DOUBT / 2), "{error:?}");
        doubts.raise("k", Bar::Conditions);
        clock.advance(DOUBT / 2);
        assert!(doubts.allow("k", false).is_ok(), "only the last doubt is left");
        assert!(doubts.allow("k", true).is_err());
        clock.advance(DOUBT / 2);
        assert!(doubts.allow("k", true).is_ok());
    }

    #[test]
    fn too_many_keys_in_doubt_block_every_key() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let doubts = Doubts::new(clock.clone());
        for key in 0..MAX_KEYS {
            doubts.raise(&key.to_string(), Bar::Conditions);
        }
        assert!(doubts.allow("never written", true).is_ok());
        doubts.raise("one more", Bar::Conditions);
        assert!(doubts.allow("never written", true).is_err());
        assert!(doubts.allow("never written", false).is_ok());
        clock.advance(DOUBT);
        assert!(doubts.allow("never written", true).is_ok());
        doubts.raise("another", Bar::Everything);
        assert_eq!(doubts.known().keys.len(), 1, "what is over is forgotten when there is no room");
    }
}
