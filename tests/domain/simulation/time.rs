//! Time that passes only when every task waits for it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use larder::clock::{Clock, Timestamp};
use tokio::sync::oneshot;

/// Number of yields of the driver before it assumes that no task can proceed. A task that was woken may wake another,
/// and so on; the longest such chain is that of a mutex with many waiters.
const MAX_YIELDS: usize = 24;

/// When simulated time begins.
const BEGINNING: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A clock whose sleepers wake one at a time, in order.
#[derive(Debug, Default)]
pub struct SimulatedClock(Mutex<Sleepers>);

#[derive(Debug, Default)]
struct Sleepers {
    passed: Duration,
    /// By when they wake, and in which order they fell asleep.
    waiting: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
    count: u64,
}

impl SimulatedClock {
    /// Lets time pass until `until`, or until no task sleeps.
    pub async fn run(&self, until: Duration) {
        loop {
            self.settle().await;
            let next = {
                let mut sleepers = self.lock();
                match sleepers.waiting.first_key_value() {
                    Some(((at, _), _)) if *at <= until => {
                        let ((at, _), sleeper) = sleepers.waiting.pop_first().expect("there is one");
                        sleepers.passed = sleepers.passed.max(at);
                        sleeper
                    }
                    _ => {
                        sleepers.passed = sleepers.passed.max(until);
                        return;
                    }
                }
            };
            let _ = next.send(());
        }
    }

    /// Lets every task go on until it waits.
    async fn settle(&self) {
        let mut calm = 0;
        let mut seen = self.lock().count;
        while calm < MAX_YIELDS {
            tokio::task::yield_now().await;
            let count = self.lock().count;
            calm = if count == seen { calm + 1 } else { 0 };
            seen = count;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        BEGINNING.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.lock().passed
    }

    async fn sleep(&self, duration: Duration) {
        let (wake, woken) = oneshot::channel();
        {
            let mut sleepers = self.lock();
            sleepers.count += 1;
            let key = (sleepers.passed + duration, sleepers.count);
            sleepers.waiting.insert(key, wake);
        }
        let _ = woken.await;
    }
}
