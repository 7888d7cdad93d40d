//! Stripes: the shared state of keys with the same hash.
//!
//! A stripe covers about a thousandth of all keys. Sharing one costs a key only this: a write of one keeps the others
//! from being cached meanwhile.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::quality::RandomState;

use super::single_flight::InFlight;

/// Number of stripes.
const STRIPES: usize = 1024;

/// Time for which a write with unknown outcome may still take effect: the same as that of `single_writer`.
pub const IN_DOUBT_WINDOW: Duration = Duration::from_mins(1);

/// The state of the keys of a stripe.
#[derive(Debug, Default)]
pub struct Stripe {
    /// Number of writes that began.
    epoch: u64,
    /// Number of writes under way.
    writers: usize,
    /// End, by the monotonic clock, of the time in which a write with unknown outcome may still arrive.
    in_doubt_until: Duration,
    /// Reads that others may join.
    flights: HashMap<Arc<str>, InFlight, RandomState>,
}

/// The number of writes of a stripe that a reader has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u64);

impl Stripe {
    /// Returns the epoch to note before a read; `None` while its result may be outdated on arrival.
    pub fn epoch(&self, now: Duration) -> Option<Epoch> {
        (self.writers == 0 && self.in_doubt_until <= now).then_some(Epoch(self.epoch))
    }

    /// Returns whether no write has begun since `epoch`.
    pub fn is_current(&self, epoch: Epoch) -> bool {
        self.epoch == epoch.0
    }

    /// Starts a write: no more readers may join the reads under way.
    pub fn begin_write(&mut self, key: &str) {
        self.epoch += 1;
        self.writers += 1;
        self.flights.remove(key);
    }

    /// Ends a write; one with unknown outcome may still arrive for a while.
    pub fn end_write(&mut self, in_doubt_until: Option<Duration>) {
        self.writers -= 1;
        if let Some(until) = in_doubt_until {
            self.in_doubt_until = self.in_doubt_until.max(until);
        }
    }

    /// Returns the read of `key` in flight.
    pub fn flight(&self, key: &str) -> Option<&InFlight> {
        self.flights.get(key)
    }

    /// Starts a read of `key` that others may join.
    pub fn add_flight(&mut self, key: Arc<str>, flight: InFlight) {
        self.flights.insert(key, flight);
    }

    /// Ends a read, unless another one has replaced it.
    pub fn remove_flight(&mut self, key: &str, flight: &InFlight) {
        if self.flights.get(key).is_some_and(|current| current.is_same(flight)) {
            self.flights.remove(key);
        }
    }
}

/// All stripes.
#[derive(Debug)]
pub struct Stripes {
    stripes: Box<[Mutex<Stripe>]>,
    hasher: RandomState,
}

impl Default for Stripes {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::default()).collect(), hasher: RandomState::default() }
    }
}

impl Stripes {
    /// Locks the stripe of `key`: for steps that neither wait nor call the object store.
    pub fn lock(&self, key: &str) -> MutexGuard<'_, Stripe> {
        let index = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or_default();
        self.stripes[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
