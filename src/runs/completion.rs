//! Runs with waiting requests: each as last read or written, shared by all its waiters.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::kv::RunId;

use super::run::Run;

/// The runs with waiters on this gateway.
#[derive(Debug, Default)]
pub struct CompletionWatches(Mutex<HashMap<RunId, Arc<Watch>>>);

/// A run with waiters.
#[derive(Debug)]
pub struct Watch {
    /// The run as last read or written.
    pub latest: watch::Sender<Arc<Run>>,
    /// Time of the last read, by the monotonic clock; locked during a read.
    pub read_at: tokio::sync::Mutex<Duration>,
}

/// A waiter for a run.
#[derive(Debug)]
pub struct Waiter<'a> {
    watches: &'a CompletionWatches,
    /// Id of the run.
    pub id: RunId,
    /// The run.
    pub watch: Arc<Watch>,
}

impl CompletionWatches {
    /// Publishes a run to its waiters.
    pub fn publish(&self, run: &Run) {
        if let Some(watch) = self.watches().get(&run.id) {
            watch.show(run);
        }
    }

    /// Returns a waiter for `run`, which was read at `now`, by the monotonic clock.
    pub fn join(&self, run: &Run, now: Duration) -> Waiter<'_> {
        let new = || {
            let latest = watch::Sender::new(Arc::new(run.clone()));
            Arc::new(Watch { latest, read_at: tokio::sync::Mutex::new(now) })
        };
        let watch = Arc::clone(self.watches().entry(run.id).or_insert_with(new));
        watch.show(run);
        Waiter { watches: self, id: run.id, watch }
    }

    fn watches(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Watch>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Publishes a run unless a later version is published already.
    pub fn show(&self, run: &Run) {
        self.latest.send_if_modified(|latest| {
            let is_newer = run.version > latest.version;
            if is_newer {
                *latest = Arc::new(run.clone());
            }
            is_newer
        });
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut watches = self.watches.watches();
        // This reference and the table's: there is no other waiter.
        if Arc::strong_count(&self.watch) <= 2 {
            watches.remove(&self.id);
        }
    }
}
