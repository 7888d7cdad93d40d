//! A timeout without progress. Resetting it is an assignment. Its timer is created at the first wait, stays after the
//! wait, and checks the deadline when it fires: a connection's waits are many and short, and share a timer that fires
//! twice a minute.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use larder_runtime::clock::Clock;

/// A timeout for a wait.
pub struct Deadline {
    clock: Arc<dyn Clock>,
    limit: Duration,
    /// Start of the current wait.
    since: Option<Duration>,
    timer: Option<Timer>,
}

struct Timer {
    rings_at: Duration,
    rings: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Deadline {
    /// Returns a timeout for each wait.
    pub fn new(clock: &Arc<dyn Clock>, limit: Duration) -> Self {
        Self { clock: Arc::clone(clock), limit, since: None, timer: None }
    }

    /// Ends the wait; the next one starts again, with this limit.
    pub fn reset(&mut self, limit: Duration) {
        self.since = None;
        self.limit = limit;
    }

    /// Becomes ready once a wait has lasted too long; a wait starts with the first call after a reset.
    pub fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = *self.since.get_or_insert_with(|| self.clock.monotonic()) + self.limit;
        loop {
            if let Some(timer) = self.timer.as_mut().filter(|timer| timer.rings_at <= end) {
                ready!(timer.rings.as_mut().poll(context));
            }
            self.timer = None;
            let now = self.clock.monotonic();
            let Some(pause) = end.checked_sub(now).filter(|pause| !pause.is_zero()) else {
                return Poll::Ready(());
            };
            let clock = Arc::clone(&self.clock);
            self.timer = Some(Timer { rings_at: end, rings: Box::pin(async move { clock.sleep(pause).await }) });
        }
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").field("limit", &self.limit).finish_non_exhaustive()
    }
}
