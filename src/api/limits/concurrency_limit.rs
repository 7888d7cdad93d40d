//! Limit on concurrent requests, and the treatment of the excess.
//!
//! Load beyond the capacity of this gateway and its object store must not make every client wait: a few requests wait
//! briefly, and the others are rejected at once. A burst is no overload: as long as some request within the last second
//! got a permit without a long wait, all may wait their turn. This is the idea of `CoDel` (RFC 8289); its target is
//! [`SHORT_WAIT`], its interval [`BURST`].
//!
//! The limit counts the work of the server itself. A large record, or one of unknown length, proceeds at the speed of
//! its client and is not counted. A request that takes longer than [`HOLD`] waits for its client, or moves gigabytes,
//! and loses its permit.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, header};
use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    telemetry::{Kind, Metrics, Sample},
};

/// Maximum length of a body that is counted: as much as arrives with the head, or right behind it.
const MAX_COUNTED_BODY: u64 = 64 * 1024;

/// Maximum time for which a request holds its permit; up to one [`SPAN`] longer.
const HOLD: Duration = Duration::from_secs(1);

/// Number of time windows whose requests may still hold permits: those of [`HOLD`], and the current one.
const SPANS: usize = SPANS_OF_HOLD as usize + 1;

const SPANS_OF_HOLD: u32 = 8;

/// Length of a time window. Requests that arrive in the same window lose their permits together.
const SPAN: Duration = match HOLD.checked_div(SPANS_OF_HOLD) {
    Some(span) => span,
    None => HOLD,
};

/// Time without any short wait after which the state counts as an overload.
const BURST: Duration = Duration::from_secs(1);

/// Maximum wait for a permit in an overload. Half of it is a short wait.
const SHORT_WAIT: Duration = Duration::from_millis(20);

/// Maximum wait for a permit otherwise.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Minimum interval between log entries about an overload.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Rejection of a request because of an overload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more requests than this gateway works on at once (LARDER_MAX_REQUESTS)")]
pub struct Overloaded;

/// Limiter of concurrent requests.
///
/// Admitted requests set no timer: most end in less than a millisecond. A counter for each time window has the number
/// of its requests that still hold permits; later requests reclaim permits that were held for too long.
#[derive(Debug)]
pub struct Admission {
    places: Semaphore,
    spans: [AtomicU64; SPANS],
    /// First window whose permits are not reclaimed yet. Only one task at a time reclaims.
    taken_back: Mutex<u64>,
    clock: Arc<dyn Clock>,
    /// Last time that a permit was acquired without a long wait, in milliseconds of the monotonic clock.
    calm_at: AtomicU64,
    turned_away: Arc<AtomicU64>,
    told_at: AtomicU64,
}

/// Permit, held until it is dropped or reclaimed.
#[derive(Debug)]
pub struct Place<'a> {
    admission: &'a Admission,
    /// Window in which the permit was acquired; `None` if it is not counted.
    span: Option<u64>,
}

impl Admission {
    /// Returns a limiter for `limit` concurrent requests; without a limit for any number.
    pub fn new(limit: Option<usize>, clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let turned_away = Arc::new(AtomicU64::new(0));
        let shown = Arc::clone(&turned_away);
        let help = "Total number of requests rejected by the concurrency limit (LARDER_MAX_REQUESTS).";
        metrics.watch("larder_requests_rejected_total", help, Kind::Counter, move || {
            vec![Sample::plain(shown.load(Ordering::Relaxed))]
        });
        Self::counting(limit, clock, turned_away)
    }

    /// Returns the same limiter with another limit. Requests that are admitted or waiting do not count against it.
    #[must_use]
    pub fn with(&self, limit: Option<usize>) -> Self {
        Self::counting(limit, Arc::clone(&self.clock), Arc::clone(&self.turned_away))
    }

    fn counting(limit: Option<usize>, clock: Arc<dyn Clock>, turned_away: Arc<AtomicU64>) -> Self {
        let places = Semaphore::new(limit.unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS));
        Self {
            places,
            spans: Default::default(),
            taken_back: Mutex::new(0),
            clock,
            calm_at: AtomicU64::new(0),
            turned_away,
            told_at: AtomicU64::new(0),
        }
    }

    /// Acquires a permit for a request that arrived at `now`, by the monotonic clock, after a wait if necessary.
    /// `streamed` has the header fields of a request whose body is streamed; every other request is counted, whatever
    /// its headers.
    pub async fn enter(&self, streamed: Option<&HeaderMap>, now: Duration) -> Result<Place<'_>, Overloaded> {
        if !streamed.is_none_or(is_counted) {
            return Ok(self.uncounted());
        }
        let Ok(place) = self.places.try_acquire() else { return self.wait(now).await };
        place.forget();
        self.calm_at.store(millis(now), Ordering::Relaxed);
        Ok(self.taken(now))
    }

    /// Returns a permit that is not counted, for requests that delay no others.
    pub fn uncounted(&self) -> Place<'_> {
        Place { admission: self, span: None }
    }

    async fn wait(&self, now: Duration) -> Result<Place<'_>, Overloaded> {
        let calm_at = Duration::from_millis(self.calm_at.load(Ordering::Relaxed));
        let patience = if now.saturating_sub(calm_at) < BURST { LONG_WAIT } else { SHORT_WAIT };
        let mut acquired = std::pin::pin!(self.places.acquire());
        let mut waited = Duration::ZERO;
        loop {
            self.take_back(now + waited);
            let pause = patience.saturating_sub(waited).min(SPAN);
            tokio::select! {
                biased;
                place = acquired.as_mut() => {
                    place.map_err(|_| Overloaded)?.forget();
                    break;
                }
                () = self.clock.sleep(pause) => waited = self.clock.monotonic().saturating_sub(now),
            }
            if waited >= patience {
                return Err(self.turn_away());
            }
        }
        let found_at = self.clock.monotonic();
        if found_at.saturating_sub(now) <= SHORT_WAIT / 2 {
            self.calm_at.store(millis(found_at), Ordering::Relaxed);
        }
        Ok(self.taken(found_at))
    }

    /// Records a permit acquired at `now`.
    fn taken(&self, now: Duration) -> Place<'_> {
        let span = span_of(now);
        let there = self.span(span);
        let began = Standing { span, held: 1 };
        let before = there.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let Standing { span: known, held } = Standing::read(word);
            Some(if known == span { Standing { span, held: held + 1 } } else { began }.word())
        });
        // A request that still holds a permit from [`SPANS`] windows ago has held it for too long.
        let before = Standing::read(before.unwrap_or_default());
        if before.span != span {
            self.places.add_permits(before.held as usize);
        }
        Place { admission: self, span: Some(span) }
    }

    /// Reclaims the permits that at `now` have been held for too long.
    fn take_back(&self, now: Duration) {
        let Some(last) = span_of(now).checked_sub(SPANS as u64) else { return };
        let mut taken_back = self.taken_back.lock().unwrap_or_else(PoisonError::into_inner);
        if *taken_back > last {
            return;
        }
        *taken_back = last + 1;
        for there in &self.spans {
            let emptied = there.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let Standing { span, held } = Standing::read(word);
                (span <= last && held > 0).then_some(Standing { span, held: 0 }.word())
            });
            if let Ok(word) = emptied {
                self.places.add_permits(Standing::read(word).held as usize);
            }
        }
    }

    /// Releases a permit that was acquired in `span`, unless it is already reclaimed.
    fn give_back(&self, span: u64) {
        let given = self.span(span).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let Standing { span: known, held } = Standing::read(word);
            (known == span && held > 0).then(|| Standing { span, held: held - 1 }.word())
        });
        if given.is_ok() {
            self.places.add_permits(1);
        }
    }

    fn span(&self, span: u64) -> &AtomicU64 {
        &self.spans[usize::try_from(span % SPANS as u64).unwrap_or_default()]
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
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(span) = self.span {
            self.admission.give_back(span);
        }
    }
}

/// Number of permits of a time window that are still held, in one word, so that it changes atomically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    span: u64,
    held: u32,
}

impl Standing {
    /// The upper half of the word is the window's number, the lower half the count.
    const HALF: u64 = 0xFFFF_FFFF;

    fn read(word: u64) -> Self {
        Self { span: word >> 32, held: u32::try_from(word & Self::HALF).unwrap_or_default() }
    }

    fn word(self) -> u64 {
        self.span << 32 | u64::from(self.held)
    }
}

/// Returns the number of the window that contains a moment. (The numbers last for seventeen years.)
fn span_of(now: Duration) -> u64 {
    (millis(now) / millis(SPAN)) & Standing::HALF
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns whether a streamed request with these headers is work for the server more than for its client.
fn is_counted(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.map_or_else(|| !headers.contains_key(header::TRANSFER_ENCODING), |length| length <= MAX_COUNTED_BODY)
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

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
            self.admission.enter(None, self.clock.monotonic()).await
        }

        /// Returns whether a request that arrives now is rejected after `patience`.
        async fn turns_away_after(&self, patience: Duration) -> bool {
            let came = self.enter();
            let mut came = pin!(came);
            assert!(futures_util::poll!(came.as_mut()).is_pending(), "there was a place");
            self.clock.advance(patience);
            matches!(futures_util::poll!(came.as_mut()), Poll::Ready(Err(Overloaded)))
        }
    }

    #[tokio::test]
    async fn in_a_burst_all_requests_queue_and_in_an_overload_none_does() {
        let door = Door::new(1);
        let first = door.enter().await;
        assert!(!door.turns_away_after(BURST / 2).await, "a burst is over soon");
        let second = {
            let waiting = door.enter();
            let mut waiting = pin!(waiting);
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
            door.clock.advance(BURST / 4);
            drop(first);
            waiting.await
        };
        assert!(second.is_ok());
        door.clock.advance(BURST / 2);
        assert!(door.turns_away_after(SHORT_WAIT).await, "for a second every request waited for long");
        drop(second);
        assert!(door.enter().await.is_ok_and(|place| place.span.is_some()));
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
        assert!(matches!(futures_util::poll!(waiting.as_mut()), Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn a_place_that_is_held_for_long_is_taken_back_once() {
        for pause in [HOLD + SPAN, HOLD * 20] {
            let door = Door::new(2);
            let (long, longer) = (door.enter().await, door.enter().await);
            door.clock.advance(pause);
            let others = (door.enter().await, door.enter().await);
            assert!(others.0.is_ok() && others.1.is_ok(), "they have waited for their clients");
            drop((long, longer));
            assert_eq!(door.admission.places.available_permits(), 0, "theirs were taken back already");
            drop(others);
            assert_eq!(door.admission.places.available_permits(), 2);
        }
    }

    #[tokio::test]
    async fn a_place_is_kept_for_as_long_as_it_may_be_held() {
        let door = Door::new(1);
        let place = door.enter().await;
        door.clock.advance(HOLD * 7 / 8);
        assert!(!door.turns_away_after(Duration::ZERO).await);
        drop(place);
        assert_eq!(door.admission.places.available_permits(), 1);
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
