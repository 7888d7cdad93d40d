//! Stripes: what is going on with the keys that share a hash.
//!
//! A stripe stands for about a thousandth of all keys. That keys share one costs them nothing but that a write of one keeps the other from
//! being remembered meanwhile.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::quality::RandomState;

use super::flight::Flight;

/// How many stripes there are.
const STRIPES: usize = 1024;

/// How long a write whose outcome is not known may still take effect: as long as a `sole_writer` reckons with.
pub const DOUBT: Duration = Duration::from_mins(1);

/// The state of the keys of a stripe.
#[derive(Debug, Default)]
pub struct Stripe {
    /// Counts the writes that began.
    epoch: u64,
    /// Writes that are under way.
    writers: usize,
    /// Until when, by the monotonic clock, a write whose outcome is not known may still arrive.
    doubtful_until: Duration,
    /// Reads that others may join.
    flights: HashMap<Arc<str>, Flight, RandomState>,
}

/// A moment in the life of a stripe, as a reader noted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u64);

impl Stripe {
    /// The moment that a reader notes before it reads; `None` while what it reads may be outdated when it is there.
    pub fn epoch(&self, now: Duration) -> Option<Epoch> {
        (self.writers == 0 && self.doubtful_until <= now).then_some(Epoch(self.epoch))
    }

    /// Whether no write has begun since `epoch`.
    pub fn is_still(&self, epoch: Epoch) -> bool {
        self.epoch == epoch.0
    }

    /// A write begins: what is being read now is for those alone who wait for it already.
    pub fn begin_write(&mut self, key: &str) {
        self.epoch += 1;
        self.writers += 1;
        self.flights.remove(key);
    }

    /// A write is over; where its outcome is not known, it may arrive for a while.
    pub fn end_write(&mut self, doubtful_until: Option<Duration>) {
        self.writers -= 1;
        if let Some(until) = doubtful_until {
            self.doubtful_until = self.doubtful_until.max(until);
        }
    }

    /// The read of `key` that is under way.
    pub fn flight(&self, key: &str) -> Option<&Flight> {
        self.flights.get(key)
    }

    /// A read of `key` begins, which others may join.
    pub fn begin_flight(&mut self, key: Arc<str>, flight: Flight) {
        self.flights.insert(key, flight);
    }

    /// A read is over, unless another one has taken its place.
    pub fn end_flight(&mut self, key: &str, flight: &Flight) {
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
    /// The stripe of `key`, locked: for steps that neither wait nor call the object store.
    pub fn of(&self, key: &str) -> MutexGuard<'_, Stripe> {
        let index = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or_default();
        self.stripes[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
