//! How many requests are worked on at once, and what becomes of the rest.
//!
//! What asks for more than this gateway and its object store can do must not make everybody wait: a few wait, briefly, and
//! the others are told at once to come back. A burst is none of that: as long as somebody found a place without much waiting within
//! the last second, all may wait their turn (the idea of `CoDel`, RFC 8289, with the names of that field: the target is
//! [`SHORT_WAIT`], the interval [`BURST`]).
//!
//! Counted is what the server itself does. A large upload or one of unknown length goes as fast as its client and is
//! not; and whatever takes longer than [`HOLD`] waits for its client, or moves gigabytes, and gives its place back.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{HeaderMap, header};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    clock::Clock,
    telemetry::{Kind, Metrics, Sample},
};

/// The longest body that is counted: as much as comes with its head, or right behind it.
const MAX_COUNTED_BODY: u64 = 64 * 1024;

/// How long a request keeps its place at most.
const HOLD: Duration = Duration::from_secs(1);

/// How long nobody may have found a place after a short wait before that is called an overload.
const BURST: Duration = Duration::from_secs(1);

/// How long a request waits for a place in an overload. Half of it is a short wait.
const SHORT_WAIT: Duration = Duration::from_millis(20);

/// How long a request waits for a place otherwise.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// How often the log tells of an overload at most.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Nobody can be served any more at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more requests than this gateway works on at once (LARDER_MAX_REQUESTS)")]
pub struct Overloaded;

/// Lets requests in.
#[derive(Debug)]
pub struct Admission {
    places: Semaphore,
    clock: Arc<dyn Clock>,
    /// When somebody last found a place without much waiting, in milliseconds of the monotonic clock.
    calm_at: AtomicU64,
    turned_away: Arc<AtomicU64>,
    told_at: AtomicU64,
}

/// A place, until this is dropped.
pub type Place<'a> = Option<SemaphorePermit<'a>>;

impl Admission {
    /// Lets `limit` in at once; any number if there is none.
    pub fn new(limit: Option<usize>, clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let turned_away = Arc::new(AtomicU64::new(0));
        let shown = Arc::clone(&turned_away);
        let help = "Requests that were told to come back, since there were more than this gateway works on at once.";
        metrics.watch("larder_requests_turned_away_total", help, Kind::Counter, move || {
            vec![Sample::plain(shown.load(Ordering::Relaxed))]
        });
        let places = Semaphore::new(limit.unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS));
        Self { places, clock, calm_at: AtomicU64::new(0), turned_away, told_at: AtomicU64::new(0) }
    }

    /// A place for a request with these headers that came at `now`, by the monotonic clock; after some waiting if need be.
    pub async fn enter(&self, headers: &HeaderMap, now: Duration) -> Result<Place<'_>, Overloaded> {
        if !is_counted(headers) {
            return Ok(None);
        }
        let place = match self.places.try_acquire() {
            Ok(place) => {
                self.calm_at.store(millis(now), Ordering::Relaxed);
                place
            }
            Err(_) => self.wait(now).await?,
        };
        Ok(Some(place))
    }

    async fn wait(&self, now: Duration) -> Result<SemaphorePermit<'_>, Overloaded> {
        let calm_at = Duration::from_millis(self.calm_at.load(Ordering::Relaxed));
        let patience = if now.saturating_sub(calm_at) < BURST { LONG_WAIT } else { SHORT_WAIT };
        let place = tokio::select! {
            biased;
            place = self.places.acquire() => place.map_err(|_| Overloaded)?,
            () = self.clock.sleep(patience) => return Err(self.turn_away()),
        };
        let found_at = self.clock.monotonic();
        if found_at.saturating_sub(now) <= SHORT_WAIT / 2 {
            self.calm_at.store(millis(found_at), Ordering::Relaxed);
        }
        Ok(place)
    }

    fn turn_away(&self) -> Overloaded {
        let count = self.turned_away.fetch_add(1, Ordering::Relaxed) + 1;
        let (now, told_at) = (millis(self.clock.monotonic()), self.told_at.load(Ordering::Relaxed));
        let is_due = told_at == 0 || now.saturating_sub(told_at) >= millis(TELL_EVERY);
        if is_due && self.told_at.compare_exchange(told_at, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            tracing::warn!(count, "overloaded: requests were told to come back, so many since the start");
        }
        Overloaded
    }

    /// Does the work of whoever has `place`, and gives that back when the work takes long.
    pub async fn hold<F: Future>(&self, place: Place<'_>, mut work: Pin<&mut F>) -> F::Output {
        // Most work that needs nothing from outside is done at once, and no alarm need be set for it.
        let first = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        if let Poll::Ready(done) = first {
            return done;
        }
        if place.is_some() {
            tokio::select! {
                biased;
                done = work.as_mut() => return done,
                () = self.clock.sleep(HOLD) => drop(place),
            }
        }
        work.await
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a request with these headers is work for the server more than for its client.
fn is_counted(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.map_or_else(|| !headers.contains_key(header::TRANSFER_ENCODING), |length| length <= MAX_COUNTED_BODY)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use crate::clock::{ManualClock, Timestamp};

    use super::*;

    struct Door {
        admission: Admission,
        clock: Arc<ManualClock>,
    }

    impl Door {
        fn new(limit: usize) -> Self {
            let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
            let of_door = Arc::clone(&clock) as Arc<dyn Clock>;
            Self { admission: Admission::new(Some(limit), of_door, &Metrics::default()), clock }
        }

        async fn enter(&self) -> Result<Place<'_>, Overloaded> {
            self.admission.enter(&HeaderMap::new(), self.clock.monotonic()).await
        }

        /// Whether somebody who comes now is turned away once `patience` has passed.
        async fn turns_away_after(&self, patience: Duration) -> bool {
            let came = self.enter();
            let mut came = pin!(came);
            assert!(futures_util::poll!(came.as_mut()).is_pending(), "there was a place");
            self.clock.advance(patience);
            matches!(futures_util::poll!(came.as_mut()), Poll::Ready(Err(Overloaded)))
        }
    }

    #[tokio::test]
    async fn in_a_burst_all_wait_their_turn_and_in_an_overload_nobody_does() {
        let door = Door::new(2);
        let (first, _second) = (door.enter().await, door.enter().await);
        assert!(!door.turns_away_after(BURST / 2).await, "a burst is over soon");
        assert!(!door.turns_away_after(BURST).await);
        assert!(door.turns_away_after(SHORT_WAIT).await, "for a second nobody found a place");
        drop(first);
        assert!(door.enter().await.is_ok_and(|place| place.is_some()));
        let _third = door.enter().await;
        assert!(!door.turns_away_after(SHORT_WAIT).await, "there was a place a moment ago");
        assert_eq!(door.admission.turned_away.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn who_waited_is_let_in_when_a_place_is_free() {
        let door = Door::new(1);
        let first = door.enter().await;
        let waiting = door.enter();
        let mut waiting = pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(first);
        assert!(matches!(futures_util::poll!(waiting.as_mut()), Poll::Ready(Ok(Some(_)))));
    }

    #[tokio::test]
    async fn work_that_takes_long_gives_its_place_back_and_goes_on() {
        let door = Door::new(1);
        let place = door.enter().await.expect("there is one");
        let (done, end) = tokio::sync::oneshot::channel::<u8>();
        let mut work = pin!(end);
        let held = door.admission.hold(place, work.as_mut());
        let mut held = pin!(held);
        assert!(futures_util::poll!(held.as_mut()).is_pending());
        door.clock.advance(HOLD);
        assert!(futures_util::poll!(held.as_mut()).is_pending());
        assert!(door.enter().await.is_ok());
        done.send(7).expect("somebody waits");
        assert_eq!(held.await, Ok(7));
    }

    #[test]
    fn large_uploads_are_not_counted() {
        let with = |name: header::HeaderName, value: &'static str| {
            HeaderMap::from_iter([(name, header::HeaderValue::from_static(value))])
        };
        assert!(is_counted(&HeaderMap::new()));
        assert!(is_counted(&with(header::CONTENT_LENGTH, "65536")));
        assert!(!is_counted(&with(header::CONTENT_LENGTH, "65537")));
        assert!(!is_counted(&with(header::TRANSFER_ENCODING, "chunked")));
    }
}
