//! Requests to the bucket: signs and sends them, retries safe ones, and follows redirects of the bucket.
//!
//! A read may be retried after any failure. A write is retried only if it certainly had no effect: a late repetition
//! could undo another writer's acknowledged write in between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use larder_runtime::clock::{AdjustedClock, Clock, Random, Timestamp};

use super::{
    credentials::{Credentials, CurrentCredentials, rejects_credentials},
    error_response::{ErrorContext, ErrorResponse},
    http1::{Endpoint, Head, Http1Client, Http1Error, Phase, Response},
    location::{Location, Resolver},
    request::Request,
    signer::SigningTime,
};
use crate::{Error, Result};

/// Maximum number of attempts for one request.
const ATTEMPTS: u32 = 5;

/// Maximum number of redirects for one request.
const REDIRECTIONS: u32 = 3;

/// Maximum delay before the second attempt; it doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Maximum delay, whatever the object store asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Interval in milliseconds between checks of the object store's time.
const HEARD_EVERY_MILLIS: u64 = 10_000;

/// Minimum correction of the time, in milliseconds, that is logged and justifies another attempt.
const WORTH_TELLING: u64 = 1000;

/// Retry safety of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetrySafety {
    /// Safe to retry after any failure: a read, the upload of a part, or the replacement of a whole document.
    Idempotent,
    /// Safe to retry only if it certainly had no effect: a late repetition could undo another writer's write.
    NotIdempotent,
}

/// Client for a bucket.
#[derive(Debug)]
pub struct Transport {
    http: Arc<Http1Client>,
    resolver: Arc<Resolver>,
    credentials: Arc<CurrentCredentials>,
    origin: Arc<ErrorContext>,
    /// The object store's time.
    clock: Arc<AdjustedClock>,
    /// Time of the next check of that, in milliseconds by the monotonic clock.
    hears_next: AtomicU64,
    random: Arc<dyn Random>,
    /// Timeout for all attempts.
    patience: Duration,
}

/// Correctness of the time of a request's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timeliness {
    /// As far as is known now.
    Timely,
    /// By a clock that has been corrected since.
    Mistimed,
}

/// Reason for a failed attempt.
enum Failure {
    /// An error response; perhaps because of a signing time that has been corrected since.
    Refused(ErrorResponse, Timeliness),
    Http(Http1Error),
}

impl Transport {
    /// Returns a client for the bucket that `resolver` finds.
    pub fn new(
        http: Arc<Http1Client>,
        resolver: Arc<Resolver>,
        (credentials, origin): (Arc<CurrentCredentials>, Arc<ErrorContext>),
        clock: Arc<AdjustedClock>,
        random: Arc<dyn Random>,
        patience: Duration,
    ) -> Self {
        Self { http, resolver, credentials, origin, clock, hears_next: AtomicU64::new(0), random, patience }
    }

    /// Returns the name of the bucket.
    pub fn bucket(&self) -> &str {
        self.resolver.bucket()
    }

    /// Returns the resolver of the bucket's location.
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Returns the credentials in use.
    pub fn credentials(&self) -> &CurrentCredentials {
        &self.credentials
    }

    /// Returns the name of the object store in messages.
    pub fn origin(&self) -> &ErrorContext {
        &self.origin
    }

    /// Returns the object store's time.
    pub fn clock(&self) -> &Arc<AdjustedClock> {
        &self.clock
    }

    /// Sends a request until it gets a response that a retry would not change.
    pub async fn send(&self, request: Request<'_>, safety: RetrySafety) -> Result<Response> {
        self.ask(request, safety).await?.map_err(|error| error.into_error(&self.origin))
    }

    /// Sends a request like [`Transport::send`], but returns an error response as it is.
    pub async fn ask(
        &self,
        mut request: Request<'_>,
        safety: RetrySafety,
    ) -> Result<std::result::Result<Response, ErrorResponse>> {
        let began = self.clock.monotonic();
        let mut location = self.resolver.location();
        let (mut attempt, mut redirections, mut is_reloaded) = (1, 0, false);
        loop {
            let credentials = self.credentials.get().await?;
            // An attempt that only followed a redirect, or used new keys, counts as well.
            let number = attempt + redirections + u32::from(is_reloaded);
            let failure = match self.attempt(&mut request, &location, &credentials, number).await? {
                Ok(response) => return Ok(Ok(response)),
                Err(failure) => failure,
            };
            if let Failure::Refused(error, timeliness) = &failure
                && redirections < REDIRECTIONS
                && request.body.is_whole()
                && let Some(next) = Box::pin(self.follow(error, *timeliness, &location)).await
            {
                redirections += 1;
                location = next;
                continue;
            }
            if let Failure::Refused(error, _) = &failure
                && !is_reloaded
                && rejects_credentials(error.status, &error.code)
                && Box::pin(self.credentials.replace(&credentials)).await
                && request.body.is_whole()
            {
                is_reloaded = true;
                continue;
            }
            let waited = self.clock.monotonic().saturating_sub(began);
            if attempt == ATTEMPTS || waited >= self.patience || !may_repeat(&failure, &request, safety) {
                return match failure {
                    Failure::Refused(error, _) => {
                        Ok(Err(self.explain_head_error(error, &request, (&location, &credentials), number + 1).await))
                    }
                    Failure::Http(error) => Err(error.into()),
                };
            }
            let retry_after = match failure {
                Failure::Refused(error, _) => error.retry_after,
                Failure::Http(_) => None,
            };
            self.clock.sleep(self.pause(attempt, retry_after)).await;
            attempt += 1;
        }
    }

    /// Retries any call to the object store while it throttles: then the call had no effect.
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
    ) -> Result<std::result::Result<Response, Failure>> {
        let (asked, ahead) = (self.clock.monotonic(), self.clock.ahead_millis());
        let now = SigningTime::new(self.clock.now());
        let mut signed = request.signed(&location.address, &location.region, credentials, now)?;
        signed.attempt = number;
        let sent = self.http.send(&location.address.endpoint, &mut signed).await;
        request.restore(signed);
        if let Ok(response) = &sent {
            self.hear_time(&response.head, asked);
        }
        Ok(match sent {
            Ok(response) if (200..300).contains(&response.head.status) => Ok(response),
            Ok(response) => {
                let is_timely = self.clock.ahead_millis().abs_diff(ahead) < WORTH_TELLING;
                let timeliness = if is_timely { Timeliness::Timely } else { Timeliness::Mistimed };
                Err(Failure::Refused(Box::pin(ErrorResponse::read(response)).await, timeliness))
            }
            Err(error) => Err(Failure::Http(error)),
        })
    }

    /// Returns why a HEAD was refused, whose response has no body: sends the same GET, which is refused alike.
    async fn explain_head_error(
        &self,
        error: ErrorResponse,
        request: &Request<'_>,
        (location, credentials): (&Location, &Credentials),
        number: u32,
    ) -> ErrorResponse {
        self.origin.set_key_id(&credentials.access_key_id);
        if request.method != "HEAD" || !error.code.is_empty() || !matches!(error.status, 400 | 401 | 403) {
            return error;
        }
        let mut get = Request::new("GET", request.key);
        get.header("range", "bytes=0-0");
        // Boxed, since it is rare.
        match Box::pin(self.attempt(&mut get, location, credentials, number)).await {
            Ok(Err(Failure::Refused(told, _))) if told.status == error.status => told,
            Ok(_) | Err(_) => error,
        }
    }

    /// Returns where to send the next attempt, if the response is a redirect, names another region, or refuses a wrong
    /// signing time.
    async fn follow(
        &self,
        error: &ErrorResponse,
        timeliness: Timeliness,
        from: &Arc<Location>,
    ) -> Option<Arc<Location>> {
        // The error response to a HEAD has no code.
        if timeliness == Timeliness::Mistimed && error.status == 403 {
            return Some(Arc::clone(from));
        }
        let other_region = error.region.as_ref().filter(|region| **region != from.region);
        let is_elsewhere = matches!(error.status, 301 | 302 | 307 | 308);
        let is_misaddressed = matches!(error.status, 400 | 403) && error.code != "AccessDenied";
        if !(is_elsewhere || is_misaddressed && other_region.is_some()) {
            return None;
        }
        if let Some(region) = other_region {
            tracing::info!(%region, "the bucket is in another region than was configured");
            return self.resolver.move_to_region(region).await.ok();
        }
        let location: http::Uri = error.location.as_deref()?.parse().ok()?;
        let origin = format!("{}://{}", location.scheme_str()?, location.authority()?);
        let endpoint: Endpoint = origin.parse().ok()?;
        // A request made over TLS must not be sent in plain text.
        if from.address.endpoint.is_tls && !endpoint.is_tls {
            return None;
        }
        Some(self.resolver.redirect(from, endpoint, matches!(error.status, 301 | 308)))
    }

    /// Corrects the clock by the object store's time, if the last check was a while ago, or if a request was refused,
    /// perhaps for its signing time.
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

fn may_repeat(failure: &Failure, request: &Request<'_>, safety: RetrySafety) -> bool {
    if !request.body.is_whole() {
        return false;
    }
    match (failure, safety) {
        (Failure::Refused(error, _), RetrySafety::Idempotent) => error.is_throttling() || error.is_server_error(),
        (Failure::Refused(error, _), RetrySafety::NotIdempotent) => error.is_throttling(),
        (Failure::Http(Http1Error::Malformed(_) | Http1Error::Body(_)), _) => false,
        (Failure::Http(_), RetrySafety::Idempotent) => true,
        (Failure::Http(error), RetrySafety::NotIdempotent) => error.phase() < Phase::Sent,
    }
}

impl From<Http1Error> for Error {
    fn from(error: Http1Error) -> Self {
        match error {
            Http1Error::Timeout { .. } => Self::Timeout,
            Http1Error::Body(error) => Self::Body(error),
            Http1Error::Connect { .. }
            | Http1Error::NoTls { .. }
            | Http1Error::Broken { .. }
            | Http1Error::Malformed(_) => Self::Unavailable(error.into()),
        }
    }
}
