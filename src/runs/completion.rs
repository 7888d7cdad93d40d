//! The runs that are waited for: each as it was read or written last, for all that wait for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::kv::RunId;

use super::run::Run;

/// The runs that are waited for here.
#[derive(Debug, Default)]
pub struct CompletionWatches(Mutex<HashMap<RunId, Arc<Watch>>>);

/// A run that is waited for.
#[derive(Debug)]
pub struct Watch {
    /// The run as it was read or written last.
    pub latest: watch::Sender<Arc<Run>>,
    /// When it was read last, by the monotonic clock; locked while it is being read.
    pub read_at: tokio::sync::Mutex<Duration>,
}

/// One of those that wait for a run.
#[derive(Debug)]
pub struct Waiter<'a> {
    watches: &'a CompletionWatches,
    /// Which run.
    pub id: RunId,
    /// The run.
    pub watch: Arc<Watch>,
}

impl CompletionWatches {
    /// Shows a run to those that wait for it.
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
    /// Shows a run, unless a later version of it is shown already.
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
        // This one and the table's: no other request waits.
        if Arc::strong_count(&self.watch) <= 2 {
            watches.remove(&self.id);
        }
    }
}
