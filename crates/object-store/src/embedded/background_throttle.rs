//! Throttle of background changes: rests between transactions while requests are served.
//!
//! A transaction delays every write behind it, and a thread that never pauses takes a processor from readers. While no
//! request is served, there is no rest.

use std::time::Duration;

/// Maximum number of objects that background changes touch in one transaction.
const MAX_OBJECTS: usize = 64;

/// Minimum of that number beside requests that write. So few take less time than the sync.
pub const MIN_OBJECTS: usize = 12;

/// Objects for each millisecond of a transaction: a slow sync allows more of them, which prolong it by the same part.
const OBJECTS_PER_MILLISECOND: u128 = 12;

/// Ratio of a rest to the work before it.
const REST_FACTOR: u32 = 9;

/// Maximum rest. It bounds how much longer all work takes on a slow disk.
const MAX_REST: Duration = Duration::from_millis(15);

/// Maximum rest beside requests that write: transactions are smaller then.
const MAX_REST_BESIDE_WRITES: Duration = Duration::from_millis(6);

/// Time after a request for which others are expected.
const REQUEST_WINDOW: Duration = Duration::from_millis(250);

/// State of the throttle. All times are of the monotonic clock.
#[derive(Debug, Default)]
pub struct BackgroundThrottle {
    /// Duration of the last transaction with background changes.
    last_work: Duration,
    /// End of the rest after it.
    rested_at: Duration,
    /// Time until which requests are expected.
    requests_until: Duration,
    /// Time until which requests that write are expected.
    writes_until: Duration,
}

impl BackgroundThrottle {
    /// Records that a request was served at `now`.
    pub fn note_request(&mut self, now: Duration) {
        self.requests_until = now + REQUEST_WINDOW;
    }

    /// Records that a request wrote at `now`.
    pub fn note_write(&mut self, now: Duration) {
        self.requests_until = now + REQUEST_WINDOW;
        self.writes_until = now + REQUEST_WINDOW;
    }

    /// Records a transaction with background changes.
    pub fn note_work(&mut self, began: Duration, ended: Duration) {
        self.last_work = ended.saturating_sub(began);
        let max_rest = if ended < self.writes_until { MAX_REST_BESIDE_WRITES } else { MAX_REST };
        self.rested_at = ended + (self.last_work * REST_FACTOR).min(max_rest);
    }

    /// Returns the number of objects that background changes may touch in one transaction.
    pub fn max_objects(&self, now: Duration) -> usize {
        if now >= self.writes_until {
            return MAX_OBJECTS;
        }
        let by_time = self.last_work.as_micros() * OBJECTS_PER_MILLISECOND / 1000;
        usize::try_from(by_time).unwrap_or(MAX_OBJECTS).clamp(MIN_OBJECTS, MAX_OBJECTS)
    }

    /// Returns the time that background changes still have to wait.
    pub fn rest(&self, now: Duration) -> Duration {
        if now < self.requests_until { self.rested_at.saturating_sub(now) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Duration = Duration::from_millis(2);

    #[test]
    fn a_rest_follows_work_beside_requests() {
        let mut throttle = BackgroundThrottle::default();
        throttle.note_request(WORK);
        throttle.note_work(WORK / 2, WORK);
        assert_eq!(throttle.rest(WORK), WORK / 2 * REST_FACTOR);
        assert_eq!(throttle.rest(WORK + WORK / 2 * REST_FACTOR), Duration::ZERO);
    }

    #[test]
    fn no_rest_is_taken_where_no_request_is_served() {
        let mut throttle = BackgroundThrottle::default();
        throttle.note_work(Duration::ZERO, WORK);
        assert_eq!(throttle.rest(WORK), Duration::ZERO);
        throttle.note_request(WORK);
        let long_after = WORK + REQUEST_WINDOW;
        throttle.note_work(long_after, long_after + WORK);
        assert_eq!(throttle.rest(long_after + WORK), Duration::ZERO);
    }

    #[test]
    fn transactions_are_small_beside_writes_unless_each_takes_long() {
        let mut throttle = BackgroundThrottle::default();
        throttle.note_request(WORK);
        assert_eq!(throttle.max_objects(WORK), MAX_OBJECTS);
        throttle.note_write(WORK);
        assert_eq!(throttle.max_objects(WORK), MIN_OBJECTS);
        throttle.note_work(WORK, WORK * 3);
        assert_eq!(throttle.max_objects(WORK * 3), 48);
        assert_eq!(throttle.max_objects(WORK + REQUEST_WINDOW), MAX_OBJECTS);
    }

    #[test]
    fn a_rest_does_not_grow_with_every_delay() {
        let mut throttle = BackgroundThrottle::default();
        let ended = Duration::from_secs(10);
        throttle.note_request(ended);
        throttle.note_work(Duration::ZERO, ended);
        assert_eq!(throttle.rest(ended), MAX_REST);
        throttle.note_write(ended);
        throttle.note_work(Duration::ZERO, ended);
        assert_eq!(throttle.rest(ended), MAX_REST_BESIDE_WRITES);
    }
}
