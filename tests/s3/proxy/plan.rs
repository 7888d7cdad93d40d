//! Plan of faults: the requests that meet with each of them.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{fault::Fault, log::Request};

/// Number of requests for which a fault is armed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Times {
    /// For so many, the next that it is meant for.
    Next(u64),
    /// For all that it is meant for.
    UntilDisarmed,
}

/// Faults in the order in which they were armed. A request meets with at most one: the first that is meant for it.
#[derive(Default)]
pub(crate) struct Plan(Mutex<Vec<Entry>>);

struct Entry {
    fault: Fault,
    is_meant: Box<dyn Fn(&Request) -> bool + Send>,
    left: Times,
    hits: Arc<AtomicU64>,
}

/// A fault that was armed. It stays armed when this is dropped.
pub(crate) struct Armed {
    plan: Arc<Plan>,
    hits: Arc<AtomicU64>,
}

impl Plan {
    /// Adds a fault for the requests that `is_meant` is true of.
    pub(crate) fn arm(
        self: &Arc<Self>,
        fault: Fault,
        times: Times,
        is_meant: impl Fn(&Request) -> bool + Send + 'static,
    ) -> Armed {
        let hits = Arc::new(AtomicU64::new(0));
        self.entries(|entries| {
            entries.push(Entry { fault, is_meant: Box::new(is_meant), left: times, hits: Arc::clone(&hits) });
        });
        Armed { plan: Arc::clone(self), hits }
    }

    /// Returns the fault that this request meets with; it counts as met from here on.
    pub(crate) fn fault_for(&self, request: &Request) -> Option<Fault> {
        self.entries(|entries| {
            let entry =
                entries.iter_mut().find(|entry| !matches!(entry.left, Times::Next(0)) && (entry.is_meant)(request))?;
            if let Times::Next(left) = &mut entry.left {
                *left -= 1;
            }
            entry.hits.fetch_add(1, Ordering::SeqCst);
            Some(entry.fault.clone())
        })
    }

    fn entries<T>(&self, work: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Armed {
    /// Returns the number of requests that met with it.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    /// Disarms the fault for further requests; begun ones go on.
    pub(crate) fn disarm(self) {
        self.plan.entries(|entries| entries.retain(|entry| !Arc::ptr_eq(&entry.hits, &self.hits)));
    }
}
