//! The pace of deletes that come by the hundred: small transactions, one caller at a time, with rests between them while others
//! are served.
//!
//! Whoever deletes a million objects is in no hurry, while others wait for one object. A transaction holds up every write
//! behind it, and a thread that never pauses takes a processor from those who read. So the rests are as much longer than
//! the work as can be without making the whole too long. Where no other caller is served, there is no rest.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::sync::Mutex;

use crate::clock::Clock;

/// The most objects deleted in one transaction.
pub const SLICE: usize = 64;

/// How much longer than its work a rest is.
const REST: u32 = 9;

/// The longest rest. With it a million objects take no more than seven minutes beside the work itself, however
/// slow the disk and whoever else is served.
const LONGEST_REST: Duration = Duration::from_millis(25);

/// How long after a call of others a rest is still taken.
const ATTENTION: Duration = Duration::from_millis(250);

/// Lets one after the other work, with rests.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the rest behind the last work is over, by the monotonic clock.
    next: Mutex<Turn>,
    /// Whether others have called since that was last asked.
    is_called: AtomicBool,
}

/// When deletes may go on.
#[derive(Debug, Default)]
struct Turn {
    /// The end of the rest behind the last work.
    rested_at: Duration,
    /// Until when others are taken for being served.
    attentive_until: Duration,
}

impl Pace {
    /// Notes that another caller is served.
    pub fn note_call(&self) {
        // Mostly it is noted already: then no other processor has to hear of it.
        if !self.is_called.load(Ordering::Relaxed) {
            self.is_called.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets the calls so far, which were those of the caller that deletes now.
    pub fn begin(&self) {
        self.is_called.store(false, Ordering::Relaxed);
    }

    /// Does `work` when nobody else's is under way and the rest behind the last is over. The rest behind this one is waited
    /// for by whoever comes next.
    pub async fn keep<T>(&self, clock: &dyn Clock, work: impl Future<Output = T>) -> T {
        let mut next = self.next.lock().await;
        let rest = next.rested_at.saturating_sub(clock.monotonic());
        if !rest.is_zero() {
            clock.sleep(rest).await;
        }
        let began = clock.monotonic();
        let done = work.await;
        let ended = clock.monotonic();
        if self.is_called.swap(false, Ordering::Relaxed) {
            next.attentive_until = ended + ATTENTION;
        }
        let rest = (ended.saturating_sub(began) * REST).min(LONGEST_REST);
        next.rested_at = if ended < next.attentive_until { ended + rest } else { ended };
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Log;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    const WORK: Duration = Duration::from_millis(2);

    fn clock() -> ManualClock {
        ManualClock::new(Timestamp::from_millis(0))
    }

    /// Lets time pass whenever everybody waits for it; when each of three callers had his turn.
    async fn three(pace: &Pace, clock: &ManualClock, work: Duration) -> Vec<Duration> {
        let log = Log::new(Vec::new());
        let one = || {
            pace.note_call();
            pace.keep(clock, async {
                log.lock().expect("nobody has panicked").push(clock.monotonic());
                tokio::task::yield_now().await;
                clock.advance(work);
                pace.note_call();
            })
        };
        let time = async {
            loop {
                tokio::task::yield_now().await;
                clock.advance(Duration::from_millis(1));
            }
        };
        tokio::select! {
            _ = async { tokio::join!(one(), one(), one()) } => {}
            () = time => {}
        }
        log.into_inner().expect("nobody has panicked")
    }

    #[tokio::test]
    async fn turns_are_taken_one_by_one_with_rests_between_them() {
        let (pace, clock) = (Pace::default(), clock());
        let began = three(&pace, &clock, WORK).await;
        assert_eq!(began.len(), 3);
        for pair in began.windows(2) {
            assert!(pair[1] >= pair[0] + WORK * (1 + REST), "{began:?}");
        }
    }

    #[tokio::test]
    async fn no_rest_is_taken_where_nobody_else_is_served() {
        let (pace, clock) = (Pace::default(), clock());
        for _ in 0..100 {
            pace.keep(&clock, async { clock.advance(WORK) }).await;
        }
        assert_eq!(clock.monotonic(), WORK * 100);
    }

    #[tokio::test]
    async fn a_rest_does_not_grow_with_every_delay() {
        let (pace, clock) = (Pace::default(), clock());
        let work = Duration::from_secs(10);
        let began = three(&pace, &clock, work).await;
        for pair in began.windows(2) {
            assert!(pair[1] <= pair[0] + work + LONGEST_REST + Duration::from_millis(10), "{began:?}");
        }
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_the_turn_to_the_next() {
        let (pace, clock) = (Pace::default(), clock());
        tokio::select! {
            biased;
            () = pace.keep(&clock, std::future::pending()) => {}
            () = tokio::task::yield_now() => {}
        }
        let took = pace.keep(&clock, async { 7 }).await;
        assert_eq!(took, 7);
    }
}
