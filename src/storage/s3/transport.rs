//! Requests to the bucket: signed, sent, repeated where that is safe, and followed where the bucket has gone.
//!
//! What only reads may be repeated after any failure. What writes is repeated only while it has certainly not been carried
//! out: a late repetition could undo what somebody else wrote, and was told is kept, in between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::clock::{AdjustedClock, Clock, Random, Timestamp};

use super::{
    super::error::{Error, Result},
    credentials::{Credentials, CurrentCredentials, is_refusal_of_credentials},
    origin::Origin,
    refusal::Refusal,
    request::Request,
    resolver::{Location, Resolver},
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

/// The way to a bucket.
#[derive(Debug)]
pub struct Transport {
    wire: Arc<WireClient>,
    resolver: Arc<Resolver>,
    credentials: Arc<CurrentCredentials>,
    origin: Arc<Origin>,
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

impl Transport {
    /// The way to the bucket that `resolver` finds.
    pub fn new(
        wire: Arc<WireClient>,
        resolver: Arc<Resolver>,
        (credentials, origin): (Arc<CurrentCredentials>, Arc<Origin>),
        clock: Arc<AdjustedClock>,
        random: Arc<dyn Random>,
        patience: Duration,
    ) -> Self {
        Self { wire, resolver, credentials, origin, clock, hears_next: AtomicU64::new(0), random, patience }
    }

    /// The name of the bucket.
    pub fn bucket(&self) -> &str {
        self.resolver.bucket()
    }

    /// The resolver of where the bucket is.
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The credentials in use.
    pub fn credentials(&self) -> &CurrentCredentials {
        &self.credentials
    }

    /// The object store as messages name it.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The object store's time.
    pub fn clock(&self) -> &Arc<AdjustedClock> {
        &self.clock
    }

    /// Sends a request until it is answered in a way that repeating will not change.
    pub async fn send(&self, request: Request<'_>, effect: Effect) -> Result<Incoming> {
        self.ask(request, effect).await?.map_err(|refusal| refusal.into_error(&self.origin))
    }

    /// The same; an answer that is an error is returned as it is.
    pub async fn ask(
        &self,
        mut request: Request<'_>,
        effect: Effect,
    ) -> Result<std::result::Result<Incoming, Refusal>> {
        let began = self.clock.monotonic();
        let mut location = self.resolver.location();
        let (mut attempt, mut redirections, mut is_reloaded) = (1, 0, false);
        loop {
            let credentials = self.credentials.get().await?;
            // An attempt that only followed the bucket, or took other keys, is one as well.
            let number = attempt + redirections + u32::from(is_reloaded);
            let failure = match self.attempt(&mut request, &location, &credentials, number).await? {
                Ok(incoming) => return Ok(Ok(incoming)),
                Err(failure) => failure,
            };
            if let Failure::Refused(refusal, timeliness) = &failure
                && redirections < REDIRECTIONS
                && request.body.is_whole()
                && let Some(next) = Box::pin(self.follow(refusal, *timeliness, &location)).await
            {
                redirections += 1;
                location = next;
                continue;
            }
            if let Failure::Refused(refusal, _) = &failure
                && !is_reloaded
                && is_refusal_of_credentials(refusal.status, &refusal.code)
                && Box::pin(self.credentials.replace(&credentials)).await
                && request.body.is_whole()
            {
                is_reloaded = true;
                continue;
            }
            let waited = self.clock.monotonic().saturating_sub(began);
            if attempt == ATTEMPTS || waited >= self.patience || !may_repeat(&failure, &request, effect) {
                return match failure {
                    Failure::Refused(refusal, _) => {
                        Ok(Err(self.with_words(refusal, &request, (&location, &credentials), number + 1).await))
                    }
                    Failure::Wire(error) => Err(error.into()),
                };
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
        location: &Location,
        credentials: &Credentials,
        number: u32,
    ) -> Result<std::result::Result<Incoming, Failure>> {
        let (asked, ahead) = (self.clock.monotonic(), self.clock.ahead_millis());
        let now = SigningTime::new(self.clock.now());
        let mut signed = request.signed(&location.address, &location.region, credentials, now)?;
        signed.attempt = number;
        let sent = self.wire.send(&location.address.target, &mut signed).await;
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

    /// Returns why a HEAD was refused, whose answer has no body to say it in: by a GET of the same, which is refused alike.
    async fn with_words(
        &self,
        refusal: Refusal,
        request: &Request<'_>,
        (location, credentials): (&Location, &Credentials),
        number: u32,
    ) -> Refusal {
        self.origin.set_key_id(&credentials.access_key_id);
        if request.method != "HEAD" || !refusal.code.is_empty() || !matches!(refusal.status, 400 | 401 | 403) {
            return refusal;
        }
        let mut get = Request::new("GET", request.key);
        get.header("range", "bytes=0-0");
        // On the heap, as it is rare.
        match Box::pin(self.attempt(&mut get, location, credentials, number)).await {
            Ok(Err(Failure::Refused(told, _))) if told.status == refusal.status => told,
            Ok(_) | Err(_) => refusal,
        }
    }

    /// Where to try next, if the answer says that it is not here, not now or not so.
    async fn follow(&self, refusal: &Refusal, timeliness: Timeliness, from: &Arc<Location>) -> Option<Arc<Location>> {
        // The refusal of a HEAD does not say why.
        if timeliness == Timeliness::Mistimed && refusal.status == 403 {
            return Some(Arc::clone(from));
        }
        let other_region = refusal.region.as_ref().filter(|region| **region != from.region);
        let is_elsewhere = matches!(refusal.status, 301 | 302 | 307 | 308);
        let is_misaddressed = matches!(refusal.status, 400 | 403) && refusal.code != "AccessDenied";
        if !(is_elsewhere || is_misaddressed && other_region.is_some()) {
            return None;
        }
        if let Some(region) = other_region {
            tracing::info!(%region, "the bucket is in another region than was configured");
            return self.resolver.move_to_region(region).await.ok();
        }
        let location: http::Uri = refusal.location.as_deref()?.parse().ok()?;
        let origin = format!("{}://{}", location.scheme_str()?, location.authority()?);
        let target: Target = origin.parse().ok()?;
        // What was asked for over TLS is not told to whoever listens.
        if from.address.target.is_tls && !target.is_tls {
            return None;
        }
        Some(self.resolver.redirect(from, target, matches!(refusal.status, 301 | 308)))
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
