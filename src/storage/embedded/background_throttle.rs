//! Throttle of changes in the background: rests between transactions while requests are served.
//!
//! A transaction holds up every write behind it, and a thread that never pauses takes a processor from readers. Where no
//! request is served, there is no rest.

use std::time::Duration;

/// Maximum number of objects that background changes touch in one transaction beside requests. What they add to a transaction
/// of requests takes less time than its sync.
pub const MAX_OBJECTS: usize = 12;

/// Maximum number of them while no request is served. The first request waits for no more.
const MAX_OBJECTS_ALONE: usize = 96;

/// Ratio of a rest to the work before it.
const REST_FACTOR: u32 = 9;

/// Maximum rest. It bounds how much longer all work takes on a slow disk.
const MAX_REST: Duration = Duration::from_millis(25);

/// Time after a request for which others are expected.
const ATTENTION: Duration = Duration::from_millis(250);

/// State of the throttle. All times are of the monotonic clock.
#[derive(Debug, Default)]
pub struct BackgroundThrottle {
    /// End of the rest behind the last work.
    rested_at: Duration,
    /// Time until which requests are taken to be served.
    attentive_until: Duration,
}

impl BackgroundThrottle {
    /// Notes that a request was served at `now`.
    pub fn note_request(&mut self, now: Duration) {
        self.attentive_until = now + ATTENTION;
    }

    /// Notes a transaction with background changes.
    pub fn note_work(&mut self, began: Duration, ended: Duration) {
        self.rested_at = ended + (ended.saturating_sub(began) * REST_FACTOR).min(MAX_REST);
    }

    /// Returns how many objects background changes may touch in one transaction.
    pub fn max_objects(&self, now: Duration) -> usize {
        if now < self.attentive_until { MAX_OBJECTS } else { MAX_OBJECTS_ALONE }
    }

    /// Returns how long background changes still wait.
    pub fn rest(&self, now: Duration) -> Duration {
        if now < self.attentive_until { self.rested_at.saturating_sub(now) } else { Duration::ZERO }
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
        throttle.note_work(WORK, WORK * 2);
        assert_eq!(throttle.rest(WORK * 2), WORK * REST_FACTOR);
        assert_eq!(throttle.max_objects(WORK * 2), MAX_OBJECTS);
        assert_eq!(throttle.rest(WORK * 2 + WORK * REST_FACTOR), Duration::ZERO);
    }

    #[test]
    fn no_rest_is_taken_where_no_request_is_served() {
        let mut throttle = BackgroundThrottle::default();
        throttle.note_work(Duration::ZERO, WORK);
        assert_eq!(throttle.rest(WORK), Duration::ZERO);
        assert_eq!(throttle.max_objects(WORK), MAX_OBJECTS_ALONE);
        throttle.note_request(WORK);
        let long_after = WORK + ATTENTION;
        throttle.note_work(long_after, long_after + WORK);
        assert_eq!(throttle.rest(long_after + WORK), Duration::ZERO);
    }

    #[test]
    fn a_rest_does_not_grow_with_every_delay() {
        let mut throttle = BackgroundThrottle::default();
        let ended = Duration::from_secs(10);
        throttle.note_request(ended);
        throttle.note_work(Duration::ZERO, ended);
        assert_eq!(throttle.rest(ended), MAX_REST);
    }
}
