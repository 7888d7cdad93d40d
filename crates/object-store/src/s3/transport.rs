//! Requests to the bucket: signs and sends them, retries safe ones, follows redirects, and keeps the clock in step.
//!
//! # Attempts
//!
//! A request is attempted up to 5 times within the response timeout, with exponential backoff and full jitter.
//! Redirects, and a reload of rejected credentials, come on top. After each failed attempt, in this order:
//!
//! 1. A redirect, another region of the bucket, or a signing time that was corrected since: sends it there at once.
//! 2. Rejected credentials, and new ones are available: signs with those, once per request.
//! 3. A throttling response (429, a 503 with an S3 error code, `SlowDown`, a conditional request that met another one):
//!    the request certainly had no effect, so that it is retried after the requested delay.
//! 4. Any other failure leaves the outcome in doubt once the whole request was sent. Only
//!    [`RetrySafety::Idempotent`] requests are retried. A write is retried if [`Phase`] proves that the server never
//!    had the whole request; else the caller gets the error.
//!
//! A write in doubt is never repeated here: the first attempt may still take effect, and a repetition could overwrite
//! or delete what another writer was acknowledged in between. A body that was streamed cannot be sent again at all.
//!
//! # Clock
//!
//! Responses correct [`Transport::clock`] by their `Date`: one every 10 seconds, and each 403, since its signing time
//! may be the reason. If that moves the clock by a second or more, a 403 is retried with the corrected time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use larder_runtime::clock::{Clock, Random, SkewCorrectedClock, Timestamp};

use super::{
    credentials::{Credentials, CurrentCredentials, rejects_credentials},
    http1::{Endpoint, Head, Http1Client, Http1Error, Phase, Response},
    location::{Location, Resolver},
    response_documents::{ErrorContext, ErrorResponse},
    signer::{Request, SigningTime},
};
use crate::{Error, Result};

/// Maximum number of attempts for one request.
const MAX_ATTEMPTS: u32 = 5;

/// Maximum number of redirects for one request.
const MAX_REDIRECTS: u32 = 3;

/// Maximum backoff before the second attempt; it doubles with each attempt.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// Maximum backoff, even if the object store requests more.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Interval in milliseconds between two observations of the object store's time.
const CLOCK_SYNC_INTERVAL_MILLIS: u64 = 10_000;

/// Minimum correction of the skew in milliseconds that is logged, and justifies another attempt.
const SIGNIFICANT_SKEW_MILLIS: u64 = 1000;

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
    context: Arc<ErrorContext>,
    /// The object store's time.
    clock: Arc<SkewCorrectedClock>,
    /// Time of its next observation, in milliseconds by the monotonic clock.
    next_clock_sync: AtomicU64,
    random: Arc<dyn Random>,
    /// Timeout for all attempts.
    retry_timeout: Duration,
}

/// Clock that gave the time of a request's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SigningClock {
    /// It has not been corrected since.
    Accurate,
    /// It has been corrected by a second or more since.
    Skewed,
}

/// Reason for a failed attempt.
enum Failure {
    /// An error response; perhaps because of a signing time that has been corrected since.
    ErrorResponse(ErrorResponse, SigningClock),
    Http(Http1Error),
}

impl Transport {
    /// Returns a client for the bucket that `resolver` finds.
    pub fn new(
        http: Arc<Http1Client>,
        resolver: Arc<Resolver>,
        (credentials, context): (Arc<CurrentCredentials>, Arc<ErrorContext>),
        clock: Arc<SkewCorrectedClock>,
        random: Arc<dyn Random>,
        retry_timeout: Duration,
    ) -> Self {
        Self { http, resolver, credentials, context, clock, next_clock_sync: AtomicU64::new(0), random, retry_timeout }
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

    /// Returns the context of error messages.
    pub fn context(&self) -> &ErrorContext {
        &self.context
    }

    /// Returns the object store's time.
    pub fn clock(&self) -> &Arc<SkewCorrectedClock> {
        &self.clock
    }

    /// Sends a request until it gets a response that a retry would not change.
    pub async fn send(&self, request: Request<'_>, safety: RetrySafety) -> Result<Response> {
        self.send_raw(request, safety).await?.map_err(|error| error.into_error(&self.context))
    }

    /// Sends a request like [`Transport::send`], but returns an error response unmapped.
    pub async fn send_raw(
        &self,
        mut request: Request<'_>,
        safety: RetrySafety,
    ) -> Result<std::result::Result<Response, ErrorResponse>> {
        let started_at = self.clock.monotonic();
        let mut location = self.resolver.location();
        let (mut attempt, mut redirects, mut is_reloaded) = (1, 0, false);
        loop {
            let credentials = self.credentials.get().await?;
            // An attempt that only followed a redirect, or used new credentials, counts as well.
            let number = attempt + redirects + u32::from(is_reloaded);
            let failure = match self.attempt(&mut request, &location, &credentials, number).await? {
                Ok(response) => return Ok(Ok(response)),
                Err(failure) => failure,
            };
            if let Failure::ErrorResponse(error, signing_clock) = &failure
                && redirects < MAX_REDIRECTS
                && request.body.is_whole()
                && let Some(next) = Box::pin(self.follow_redirect(error, *signing_clock, &location)).await
            {
                redirects += 1;
                location = next;
                continue;
            }
            if let Failure::ErrorResponse(error, _) = &failure
                && !is_reloaded
                && rejects_credentials(error.status, &error.code)
                && Box::pin(self.credentials.reload_rejected(&credentials)).await
                && request.body.is_whole()
            {
                is_reloaded = true;
                continue;
            }
            let elapsed = self.clock.monotonic().saturating_sub(started_at);
            if attempt == MAX_ATTEMPTS || elapsed >= self.retry_timeout || !is_retryable(&failure, &request, safety) {
                return match failure {
                    Failure::ErrorResponse(error, _) => {
                        Ok(Err(self.explain_head_error(error, &request, (&location, &credentials), number + 1).await))
                    }
                    Failure::Http(error) => Err(error.into()),
                };
            }
            let retry_after = match failure {
                Failure::ErrorResponse(error, _) => error.retry_after,
                Failure::Http(_) => None,
            };
            self.clock.sleep(self.backoff(attempt, retry_after)).await;
            attempt += 1;
        }
    }

    /// Retries `call` while the object store throttles it: then it had no effect.
    pub async fn with_throttle_retry<T, F: Future<Output = Result<T>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T> {
        let started_at = self.clock.monotonic();
        for attempt in 1..MAX_ATTEMPTS {
            match call().await {
                Err(Error::Throttled { retry_after })
                    if self.clock.monotonic().saturating_sub(started_at) < self.retry_timeout =>
                {
                    self.clock.sleep(self.backoff(attempt, retry_after)).await;
                }
                outcome => return outcome,
            }
        }
        call().await
    }

    async fn attempt(
        &self,
        request: &mut Request<'_>,
        location: &Location,
        credentials: &Credentials,
        number: u32,
    ) -> Result<std::result::Result<Response, Failure>> {
        let (sent_at, skew_before) = (self.clock.monotonic(), self.clock.skew_millis());
        let now = SigningTime::new(self.clock.now());
        let mut signed = request.sign(&location.address, &location.region, credentials, now)?;
        signed.attempt = number;
        let sent = self.http.send(&location.address.endpoint, &mut signed).await;
        request.restore_body(signed);
        if let Ok(response) = &sent {
            self.sync_clock(&response.head, sent_at);
        }
        Ok(match sent {
            Ok(response) if (200..300).contains(&response.head.status) => Ok(response),
            Ok(response) => {
                let is_accurate = self.clock.skew_millis().abs_diff(skew_before) < SIGNIFICANT_SKEW_MILLIS;
                let signing_clock = if is_accurate { SigningClock::Accurate } else { SigningClock::Skewed };
                Err(Failure::ErrorResponse(Box::pin(ErrorResponse::read(response)).await, signing_clock))
            }
            Err(error) => Err(Failure::Http(error)),
        })
    }

    /// Returns the error response to a HEAD with its code and message. The response to a HEAD has no body, so this sends
    /// the same GET, which fails alike.
    async fn explain_head_error(
        &self,
        error: ErrorResponse,
        request: &Request<'_>,
        (location, credentials): (&Location, &Credentials),
        number: u32,
    ) -> ErrorResponse {
        self.context.set_key_id(&credentials.access_key_id);
        if request.method != "HEAD" || !error.code.is_empty() || !matches!(error.status, 400 | 401 | 403) {
            return error;
        }
        let mut get = Request::new("GET", request.key);
        get.header("range", "bytes=0-0");
        // Boxed, since it is rare.
        match Box::pin(self.attempt(&mut get, location, credentials, number)).await {
            Ok(Err(Failure::ErrorResponse(explained, _))) if explained.status == error.status => explained,
            Ok(_) | Err(_) => error,
        }
    }

    /// Returns where to send the next attempt, if the response is a redirect, names another region, or rejects a wrong
    /// signing time.
    async fn follow_redirect(
        &self,
        error: &ErrorResponse,
        signing_clock: SigningClock,
        from: &Arc<Location>,
    ) -> Option<Arc<Location>> {
        // The error response to a HEAD has no code.
        if signing_clock == SigningClock::Skewed && error.status == 403 {
            return Some(Arc::clone(from));
        }
        let other_region = error.region.as_ref().filter(|region| **region != from.region);
        let is_redirect = matches!(error.status, 301 | 302 | 307 | 308);
        let is_misaddressed = matches!(error.status, 400 | 403) && error.code != "AccessDenied";
        if !(is_redirect || is_misaddressed && other_region.is_some()) {
            return None;
        }
        if let Some(region) = other_region {
            tracing::info!(%region, "the bucket is in another region than configured");
            return self.resolver.move_to_region(region).await.ok();
        }
        let location: http::Uri = error.location.as_deref()?.parse().ok()?;
        let url = format!("{}://{}", location.scheme_str()?, location.authority()?);
        let endpoint: Endpoint = url.parse().ok()?;
        // A request made over TLS must not be sent in plain text.
        if from.address.endpoint.is_tls && !endpoint.is_tls {
            return None;
        }
        Some(self.resolver.redirect(from, endpoint, matches!(error.status, 301 | 308)))
    }

    /// Corrects the clock by the object store's time, if the last observation is old enough, or if the response is a
    /// 403, perhaps for its signing time.
    fn sync_clock(&self, head: &Head, sent_at: Duration) {
        let now = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        if head.status != 403 && now < self.next_clock_sync.load(Ordering::Relaxed) {
            return;
        }
        let Some(server_time) = head.get("date").and_then(|date| httpdate::parse_http_date(date).ok()) else { return };
        self.next_clock_sync.store(now.saturating_add(CLOCK_SYNC_INTERVAL_MILLIS), Ordering::Relaxed);
        if self.clock.observe(Timestamp::from(server_time), sent_at).unsigned_abs() >= SIGNIFICANT_SKEW_MILLIS {
            let skew_ms = self.clock.skew_millis();
            tracing::warn!(skew_ms, "clock skew detected; using the object store's time");
        }
    }

    fn backoff(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        if let Some(wanted) = retry_after {
            return wanted.min(MAX_BACKOFF);
        }
        let longest = (INITIAL_BACKOFF * 2_u32.pow(attempt - 1)).min(MAX_BACKOFF);
        let mut draw = [0; 2];
        self.random.fill(&mut draw);
        longest.mul_f64(f64::from(u16::from_le_bytes(draw)) / f64::from(u16::MAX))
    }
}

fn is_retryable(failure: &Failure, request: &Request<'_>, safety: RetrySafety) -> bool {
    if !request.body.is_whole() {
        return false;
    }
    match (failure, safety) {
        (Failure::ErrorResponse(error, _), RetrySafety::Idempotent) => error.is_throttling() || error.is_server_error(),
        (Failure::ErrorResponse(error, _), RetrySafety::NotIdempotent) => error.is_throttling(),
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
