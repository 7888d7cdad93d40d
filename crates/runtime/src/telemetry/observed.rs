//! Facts for the access log beyond head and response of a request: recorded when they become known, read when the
//! line is written.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// Facts about a request that become known while it is handled.
#[derive(Debug, Default)]
pub struct Observed {
    caller: OnceLock<Box<str>>,
    object_calls: AtomicU64,
}

impl Observed {
    /// Records the name of the caller; the first one counts.
    pub(super) fn set_caller(&self, name: &str) {
        let _ = self.caller.set(name.into());
    }

    /// Counts a call of the object store.
    pub(super) fn count_call(&self) {
        self.object_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Discounts a call that was not made after all.
    pub(super) fn discount_call(&self) {
        self.object_calls.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the name of the caller, if it became known.
    pub fn caller(&self) -> Option<&str> {
        self.caller.get().map(AsRef::as_ref)
    }

    /// Returns the number of calls of the object store.
    pub fn object_calls(&self) -> u64 {
        self.object_calls.load(Ordering::Relaxed)
    }
}
