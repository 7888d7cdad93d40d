//! Waiting for runs to end. All waiters for a run share its reads, and the end of another run wakes none of them.

use std::{sync::Arc, time::Duration};

use super::{completion::Waiter, error::Result, registry::Runs, run::Run};

/// Interval between reads of a run with waiters: another gateway may end it.
const POLL: Duration = Duration::from_secs(1);

impl Runs {
    /// Returns `run`, which was just read, once it is over, or its state after `patience`.
    pub async fn finished(&self, run: Run, patience: Duration) -> Result<Run> {
        if run.status.is_terminal() || patience.is_zero() {
            return Ok(run);
        }
        let began = self.clock.monotonic();
        let waiter = self.watches.join(&run, began);
        let mut latest = waiter.watch.latest.subscribe();
        loop {
            let run = Arc::clone(&latest.borrow_and_update());
            let now = self.clock.monotonic();
            let left = patience.saturating_sub(now.saturating_sub(began));
            if run.status.is_terminal() || left.is_zero() {
                return Ok(Arc::unwrap_or_clone(run));
            }
            tokio::select! {
                changed = latest.changed() => { if changed.is_err() { return Ok(Arc::unwrap_or_clone(run)); } }
                () = self.clock.sleep(left.min(POLL)) => self.poll(&waiter).await?,
            }
        }
    }

    /// Reads a run for all its waiters, unless one of them just has, or is about to.
    async fn poll(&self, waiter: &Waiter<'_>) -> Result<()> {
        let Ok(mut read_at) = waiter.watch.read_at.try_lock() else { return Ok(()) };
        if self.clock.monotonic().saturating_sub(*read_at) < POLL * 9 / 10 {
            return Ok(());
        }
        let run = self.get(&waiter.id).await?;
        *read_at = self.clock.monotonic();
        waiter.watch.show(&run);
        Ok(())
    }
}
