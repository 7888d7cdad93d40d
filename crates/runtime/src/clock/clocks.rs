//! Moments in milliseconds, in the single form that the Apify API writes; and the interfaces of time and randomness,
//! with the implementations of the machine, those for tests, and a clock that follows a time server.
//!
//! All code that needs the time receives a [`Clock`]. Only this file reads the system's clock.
#![expect(clippy::disallowed_methods, reason = "only this file reads the system's clock")]

use std::{
    fmt::{self, Debug},
    str::FromStr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::sync::Notify;

/// A moment, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Written as the API writes dates: ISO 8601, UTC, three decimals, `Z` (`2019-12-12T07:34:14.202Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not a date in ISO 8601 with an offset.
#[derive(Debug, thiserror::Error)]
#[error("not an ISO 8601 date")]
pub struct TimestampError(#[from] jiff::Error);

impl Timestamp {
    /// The earliest and the latest moment: the years -9999 and 9999, the bounds of `jiff` for dates in milliseconds.
    const MIN: i64 = -377_705_023_201_000;
    const MAX: i64 = 253_402_207_200_000;

    /// Returns the moment `millis` after the epoch, clamped to the dates that can be written.
    pub const fn from_millis(millis: i64) -> Self {
        match millis {
            ..Self::MIN => Self(Self::MIN),
            Self::MAX.. => Self(Self::MAX),
            Self::MIN.. => Self(millis),
        }
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the moment `duration` later, in whole milliseconds.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the moment `duration` earlier, in whole milliseconds.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the time from `earlier` to this moment; zero if `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(moment: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(u64::try_from(moment.0).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{moment:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The last second that can be parsed is longer than the one that can be written.
        Ok(Self::from_millis(text.parse::<jiff::Timestamp>()?.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A source of time: the wall clock for what users see, a monotonic one for ages and deadlines.
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the time of day.
    fn now(&self) -> Timestamp;

    /// Returns the time since an arbitrary fixed instant. It never goes back, and changes of the time of day do not
    /// affect it.
    fn monotonic(&self) -> Duration;

    /// Returns the time since an arbitrary fixed instant, including time in which the machine was suspended. A change
    /// of the time of day does not move it, so it tells such a change from elapsed time. For machines that are never
    /// suspended it equals the monotonic time.
    fn boot_time(&self) -> Duration {
        self.monotonic()
    }

    /// Returns once `duration` has passed by [`Clock::monotonic`].
    async fn sleep(&self, duration: Duration);
}

/// First reading of the clock in this process: the zero of [`Clock::monotonic`].
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The kernel's clock that also runs while the machine is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOT_CLOCK: ClockId = ClockId::Boottime;

/// The kernel's clock that also runs while the machine is suspended: on Apple systems, the monotonic clock.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOT_CLOCK: ClockId = ClockId::Monotonic;

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        STARTED.elapsed()
    }

    fn boot_time(&self) -> Duration {
        let time = clock_gettime(BOOT_CLOCK);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanos)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that stands still until a test moves it; sleepers wake when it has moved far enough.
#[derive(Debug)]
pub struct ManualClock {
    started: Timestamp,
    /// Elapsed monotonic time.
    passed: Mutex<Duration>,
    /// Milliseconds by which the time of day was set forward, less those by which it was set back.
    jumped: AtomicI64,
    /// Milliseconds for which the machine was suspended.
    suspended: AtomicU64,
    moved: Notify,
}

impl ManualClock {
    /// Returns a clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            started: now,
            passed: Mutex::new(Duration::ZERO),
            jumped: AtomicI64::new(0),
            suspended: AtomicU64::new(0),
            moved: Notify::new(),
        }
    }

    /// Moves the clock forward and wakes the tasks that waited for that time.
    pub fn advance(&self, by: Duration) {
        *self.passed.lock() += by;
        self.moved.notify_waiters();
    }

    /// Sets the time of day forward by `millis`, or back if that is negative. No time passes.
    pub fn jump(&self, millis: i64) {
        self.jumped.fetch_add(millis, Ordering::SeqCst);
    }

    /// Suspends the machine: time of day and boot time advance, monotonic time stands still.
    pub fn suspend(&self, duration: Duration) {
        self.suspended.fetch_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let shown = self.started.plus(self.boot_time()).as_millis();
        Timestamp::from_millis(shown.saturating_add(self.jumped.load(Ordering::SeqCst)))
    }

    fn boot_time(&self) -> Duration {
        *self.passed.lock() + Duration::from_millis(self.suspended.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        *self.passed.lock()
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.monotonic() + duration;
        loop {
            let moved = self.moved.notified();
            if self.monotonic() >= until {
                return;
            }
            moved.await;
        }
    }
}

// A clock that corrects the skew of the local clock against a time server, here the object store.
//
// Gateways that share data need one time of day for their decisions. They share the object store, and each of its
// responses has a `Date` in whole seconds. One observation bounds the skew:
//
// 1. The client notes when it sends a request, by the monotonic clock.
// 2. The server takes `Date` at some moment between sending and receiving, and truncates it to seconds.
// 3. So the skew is at least `Date - received` and at most `Date + 1 s - sent`.
// 4. A skew within these bounds stays as it is. Otherwise it moves to the nearer bound.
//
// So a local clock without measurable skew is never corrected, and each response makes a correction more exact.
// Concurrent observations race without a lock. Each result lies within the bounds of one of them: last writer wins.

/// Resolution of a `Date` in milliseconds: the server took it at most this much later than it says.
const DATE_RESOLUTION_MILLIS: i64 = 1000;

/// A clock that corrects the skew of the local clock.
#[derive(Debug)]
pub struct SkewCorrectedClock {
    local: Arc<dyn Clock>,
    /// Milliseconds by which the server is ahead of the local clock.
    skew: AtomicI64,
}

impl SkewCorrectedClock {
    /// Maximum skew. Beyond it one of the two clocks is too wrong to rely on either.
    pub const MAX_SKEW: Duration = Duration::from_mins(1);

    /// Returns a clock that agrees with `local` until it observes another time.
    pub fn new(local: Arc<dyn Clock>) -> Self {
        Self { local, skew: AtomicI64::new(0) }
    }

    /// Returns the milliseconds by which this clock is ahead of the local one.
    pub fn skew_millis(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    /// Records that the server's clock read `server_time`, in whole seconds, at some moment since `sent_at`, a time of
    /// [`Clock::monotonic`]. Returns the milliseconds by which that moved this clock.
    pub fn observe(&self, server_time: Timestamp, sent_at: Duration) -> i64 {
        let received_at = self.local.now();
        let sent_at_wall = received_at.minus(self.local.monotonic().saturating_sub(sent_at));
        let least = server_time.as_millis() - received_at.as_millis();
        let most = server_time.as_millis() + DATE_RESOLUTION_MILLIS - sent_at_wall.as_millis();
        let before = self.skew.load(Ordering::Relaxed);
        // Last writer wins: both of two concurrent observations are true.
        let after = before.max(least).min(most);
        self.skew.store(after, Ordering::Relaxed);
        after - before
    }
}

#[async_trait]
impl Clock for SkewCorrectedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.local.now().as_millis() + self.skew_millis())
    }

    fn monotonic(&self) -> Duration {
        self.local.monotonic()
    }

    fn boot_time(&self) -> Duration {
        self.local.boot_time()
    }

    async fn sleep(&self, duration: Duration) {
        self.local.sleep(duration).await;
    }
}

// Randomness: the system's for production, a seeded sequence for tests that must repeat.

/// A source of random bytes.
pub trait Random: Debug + Send + Sync + 'static {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Random {
    /// Returns `count` characters of `alphabet` (at most 255 of them), uniformly distributed.
    pub fn characters(&self, alphabet: &[u8], count: usize) -> Vec<u8> {
        /// Number of bytes drawn at a time.
        const DRAWN: usize = 64;
        let length = u8::try_from(alphabet.len()).unwrap_or(u8::MAX);
        // Bytes from here on would favour the first characters: they are redrawn.
        let fair = u8::MAX - u8::MAX % length;
        let mut characters = Vec::with_capacity(count);
        while characters.len() < count {
            let mut drawn = [0; DRAWN];
            self.fill(&mut drawn);
            let missing = count - characters.len();
            let usable = drawn.into_iter().filter(|byte| *byte < fair).take(missing);
            characters.extend(usable.map(|byte| alphabet[usize::from(byte % length)]));
        }
        characters
    }
}

/// The operating system's generator, fit for secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// If the operating system has no randomness to give: no id or secret may be made without it.
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// A repeatable sequence (`SplitMix64`), for tests only: the seed determines every value.
#[derive(Debug)]
pub struct SeededRandom {
    state: AtomicU64,
}

impl SeededRandom {
    /// Returns the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.state.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_with_three_decimals_and_z() {
        assert_eq!(Timestamp::from_millis(1_576_136_054_202).to_string(), "2019-12-12T07:34:14.202Z");
        assert_eq!(Timestamp::from_millis(1_576_136_054_000).to_string(), "2019-12-12T07:34:14.000Z");
    }

    #[test]
    fn every_moment_can_be_written_and_read_whatever_is_added_to_it() {
        for millis in [i64::MIN, Timestamp::MIN, -1, 0, Timestamp::MAX, i64::MAX] {
            let moment = Timestamp::from_millis(millis);
            for moment in [moment, moment.plus(Duration::MAX), moment.minus(Duration::MAX)] {
                assert_eq!(moment.to_string().parse::<Timestamp>().ok(), Some(moment));
            }
        }
    }

    #[test]
    fn every_date_that_can_be_read_can_be_written() {
        for text in ["9999-12-30T22:00:00.999999999Z", "-009999-01-02T01:59:59Z", "-009999-01-02T01:59:59.999999999Z"] {
            let moment: Timestamp = text.parse().expect("a date");
            assert_eq!(moment.to_string().parse::<Timestamp>().ok(), Some(moment), "{text}");
        }
    }

    #[test]
    fn a_date_reads_back_as_it_was_written() {
        let moment = Timestamp::from_millis(1_767_225_600_001);
        assert_eq!(moment.to_string().parse::<Timestamp>().ok(), Some(moment));
    }

    const START: i64 = 1_767_225_600_000;

    fn clocks() -> (Arc<ManualClock>, SkewCorrectedClock) {
        let local = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
        (local.clone(), SkewCorrectedClock::new(local))
    }

    /// Returns the whole second of a clock that is `skew` milliseconds ahead of `local`.
    fn date(local: &ManualClock, skew: i64) -> Timestamp {
        let millis = local.now().as_millis() + skew;
        Timestamp::from_millis(millis - millis.rem_euclid(1000))
    }

    #[test]
    fn a_clock_without_measurable_skew_is_not_corrected() {
        let (local, clock) = clocks();
        for _ in 0..100 {
            local.advance(Duration::from_millis(317));
            let sent_at = local.monotonic();
            let server_time = date(&local, 0);
            local.advance(Duration::from_millis(40));
            assert_eq!((clock.observe(server_time, sent_at), clock.skew_millis()), (0, 0));
        }
    }

    #[test]
    fn each_observation_makes_the_correction_more_exact() {
        for skew in [-3_600_000, -1500, 700, 90_000] {
            let (local, clock) = clocks();
            for _ in 0..100 {
                local.advance(Duration::from_millis(317));
                let sent_at = local.monotonic();
                local.advance(Duration::from_millis(10));
                let server_time = date(&local, skew);
                local.advance(Duration::from_millis(10));
                clock.observe(server_time, sent_at);
                assert!((clock.skew_millis() - skew).abs() <= 1020, "{skew}: {}", clock.skew_millis());
            }
            assert!((clock.skew_millis() - skew).abs() <= 40, "{skew}: {}", clock.skew_millis());
            assert_eq!(clock.now().as_millis() - local.now().as_millis(), clock.skew_millis());
        }
    }

    #[test]
    fn a_slow_response_corrects_little() {
        let (local, clock) = clocks();
        let (sent_at, server_time) = (local.monotonic(), date(&local, 0));
        local.advance(Duration::from_mins(10));
        assert_eq!(clock.observe(server_time, sent_at), 0);
    }
}
