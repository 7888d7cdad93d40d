//! Requests to the bucket: signed, sent, repeated where that is safe, and followed where the bucket has gone.
//!
//! What only reads may be repeated after any failure. What writes is repeated only while it has certainly not been carried
//! out: a late repetition could undo what somebody else wrote, and was told is kept, in between.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::clock::{AdjustedClock, Clock, Random, Timestamp};

use super::{
    super::error::{Error, Result},
    address::{Address, AddressStyle},
    credentials::CurrentCredentials,
    refusal::Refusal,
    request::Request,
    signer::SigningTime,
    wire::{Head, Incoming, Phase, Target, WireClient, WireError},
};

/// The most attempts at one request.
const ATTEMPTS: u32 = 5;

/// The most redirections of one request.
const REDIRECTIONS: u32 = 3;

/// The pause before the second attempt, at most; it doubles from attempt to attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause, whatever the object store asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often the object store's time is looked at, in milliseconds.
const HEARD_EVERY_MILLIS: u64 = 10_000;

/// By how many milliseconds the time has to be corrected to be worth a line in the log and another attempt.
const WORTH_TELLING: u64 = 1000;

/// Whether a request may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It reads: always.
    Reads,
    /// It writes: only if it was certainly not carried out.
    Writes,
}

/// The bucket as we know it now.
#[derive(Debug)]
struct Place {
    address: Address,
    region: String,
}

/// Where the bucket is said to be.
#[derive(Debug, Clone)]
pub struct BucketSite {
    /// Its name.
    pub bucket: String,
    /// The server; AWS when `None`.
    pub endpoint: Option<Target>,
    /// The region.
    pub region: String,
    /// How it is addressed, if not as usual.
    pub style: Option<AddressStyle>,
}

/// The way to a bucket.
#[derive(Debug)]
pub struct Transport {
    wire: Arc<WireClient>,
    site: BucketSite,
    place: RwLock<Arc<Place>>,
    credentials: CurrentCredentials,
    /// The object store's time.
    clock: Arc<AdjustedClock>,
    /// When that is to be looked at again, in milliseconds by the monotonic clock.
    hears_next: AtomicU64,
    random: Arc<dyn Random>,
    /// How long to go on repeating.
    patience: Duration,
}

/// Whether a request was signed at the right time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timeliness {
    /// As far as is known now.
    Timely,
    /// By a clock that has been corrected since.
    Mistimed,
}

/// Why an attempt failed.
enum Failure {
    /// By its answer; perhaps for having been signed at a time that has been corrected since.
    Refused(Refusal, Timeliness),
    Wire(WireError),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal, _) => refusal.into_error(),
            Failure::Wire(error) => error.into(),
        }
    }
}

impl Transport {
    /// The way to the bucket at `site`.
    pub fn new(
        wire: Arc<WireClient>,
        site: BucketSite,
        credentials: CurrentCredentials,
        clock: Arc<AdjustedClock>,
        random: Arc<dyn Random>,
        patience: Duration,
    ) -> Self {
        let address = Address::new(&site.bucket, site.endpoint.as_ref(), &site.region, site.style);
        let place = RwLock::new(Arc::new(Place { address, region: site.region.clone() }));
        Self { wire, site, place, credentials, clock, hears_next: AtomicU64::new(0), random, patience }
    }

    /// The name of the bucket.
    pub fn bucket(&self) -> &str {
        &self.site.bucket
    }

    /// The object store's time.
    pub fn clock(&self) -> &Arc<AdjustedClock> {
        &self.clock
    }

    /// Sends a request until it is answered in a way that repeating will not change.
    pub async fn send(&self, mut request: Request<'_>, effect: Effect) -> Result<Incoming> {
        let began = self.clock.monotonic();
        let mut place = self.place();
        let (mut attempt, mut redirections) = (1, 0);
        loop {
            // An attempt that only followed the bucket is one as well.
            let failure = match self.attempt(&mut request, &place, attempt + redirections).await? {
                Ok(incoming) => return Ok(incoming),
                Err(failure) => failure,
            };
            if let Failure::Refused(refusal, timeliness) = &failure
                && redirections < REDIRECTIONS
                && request.body.is_whole()
                && let Some(next) = self.follow(refusal, *timeliness, &place)
            {
                redirections += 1;
                place = next;
                continue;
            }
            let waited = self.clock.monotonic().saturating_sub(began);
            if attempt == ATTEMPTS || waited >= self.patience || !may_repeat(&failure, &request, effect) {
                return Err(failure.into());
            }
            let retry_after = match failure {
                Failure::Refused(refusal, _) => refusal.retry_after,
                Failure::Wire(_) => None,
            };
            self.clock.sleep(self.pause(attempt, retry_after)).await;
            attempt += 1;
        }
    }

    /// Asks something of the object store, in whatever way, again while it wants to be spared: then it has done nothing.
    pub async fn patiently<T, F: Future<Output = Result<T>>>(&self, mut ask: impl FnMut() -> F) -> Result<T> {
        let began = self.clock.monotonic();
        for attempt in 1..ATTEMPTS {
            match ask().await {
                Err(Error::Throttled { retry_after })
                    if self.clock.monotonic().saturating_sub(began) < self.patience =>
                {
                    self.clock.sleep(self.pause(attempt, retry_after)).await;
                }
                answer => return answer,
            }
        }
        ask().await
    }

    async fn attempt(
        &self,
        request: &mut Request<'_>,
        place: &Place,
        number: u32,
    ) -> Result<std::result::Result<Incoming, Failure>> {
        let credentials = self.credentials.get().await?;
        let (asked, ahead) = (self.clock.monotonic(), self.clock.ahead_millis());
        let now = SigningTime::new(self.clock.now());
        let mut signed = request.signed(&place.address, &place.region, &credentials, now)?;
        signed.attempt = number;
        let sent = self.wire.send(&place.address.target, &mut signed).await;
        request.restore(signed);
        if let Ok(incoming) = &sent {
            self.hear_time(&incoming.head, asked);
        }
        Ok(match sent {
            Ok(incoming) if (200..300).contains(&incoming.head.status) => Ok(incoming),
            Ok(incoming) => {
                let is_timely = self.clock.ahead_millis().abs_diff(ahead) < WORTH_TELLING;
                let timeliness = if is_timely { Timeliness::Timely } else { Timeliness::Mistimed };
                Err(Failure::Refused(Box::pin(Refusal::read(incoming)).await, timeliness))
            }
            Err(error) => Err(Failure::Wire(error)),
        })
    }

    /// Where to try next, if the answer says that it is not here, not now or not so.
    fn follow(&self, refusal: &Refusal, timeliness: Timeliness, place: &Arc<Place>) -> Option<Arc<Place>> {
        // The refusal of a HEAD does not say why.
        if timeliness == Timeliness::Mistimed && refusal.status == 403 {
            return Some(Arc::clone(place));
        }
        let other_region = refusal.region.as_ref().filter(|region| **region != place.region);
        let is_elsewhere = matches!(refusal.status, 301 | 302 | 307 | 308);
        let is_misaddressed = matches!(refusal.status, 400 | 403) && refusal.code != "AccessDenied";
        if !(is_elsewhere || is_misaddressed && other_region.is_some()) {
            return None;
        }
        if let Some(region) = other_region {
            tracing::info!(%region, "the bucket is in another region than was configured");
            let address = Address::new(&self.site.bucket, self.site.endpoint.as_ref(), region, self.site.style);
            let found = Arc::new(Place { address, region: region.clone() });
            *self.place.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&found);
            return Some(found);
        }
        let location: http::Uri = refusal.location.as_deref()?.parse().ok()?;
        let origin = format!("{}://{}", location.scheme_str()?, location.authority()?);
        let target: Target = origin.parse().ok()?;
        // What was asked for over TLS is not told to whoever listens.
        if place.address.target.is_tls && !target.is_tls {
            return None;
        }
        let found = Arc::new(Place { address: place.address.moved_to(target), region: place.region.clone() });
        if matches!(refusal.status, 301 | 308) {
            *self.place.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&found);
        }
        Some(found)
    }

    /// Takes note of the object store's time, if it has not been looked at for a while or something was refused, perhaps
    /// for being sent at the wrong time.
    fn hear_time(&self, head: &Head, asked: Duration) {
        let now = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        if head.status != 403 && now < self.hears_next.load(Ordering::Relaxed) {
            return;
        }
        let Some(shown) = head.get("date").and_then(|date| httpdate::parse_http_date(date).ok()) else { return };
        self.hears_next.store(now.saturating_add(HEARD_EVERY_MILLIS), Ordering::Relaxed);
        if self.clock.hear(Timestamp::from(shown), asked).unsigned_abs() >= WORTH_TELLING {
            let ahead_ms = self.clock.ahead_millis();
            tracing::warn!(ahead_ms, "the object store's clock and that of this machine differ: its time counts");
        }
    }

    fn pause(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        if let Some(wanted) = retry_after {
            return wanted.min(LONGEST_PAUSE);
        }
        let longest = (FIRST_PAUSE * 2_u32.pow(attempt - 1)).min(LONGEST_PAUSE);
        let mut draw = [0; 2];
        self.random.fill(&mut draw);
        longest.mul_f64(f64::from(u16::from_le_bytes(draw)) / f64::from(u16::MAX))
    }

    fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn may_repeat(failure: &Failure, request: &Request<'_>, effect: Effect) -> bool {
    if !request.body.is_whole() {
        return false;
    }
    match (failure, effect) {
        (Failure::Refused(refusal, _), Effect::Reads) => refusal.is_throttling() || refusal.is_fault(),
        (Failure::Refused(refusal, _), Effect::Writes) => refusal.is_throttling(),
        (Failure::Wire(WireError::Malformed(_) | WireError::Body(_)), _) => false,
        (Failure::Wire(_), Effect::Reads) => true,
        (Failure::Wire(error), Effect::Writes) => error.phase() < Phase::Sent,
    }
}
