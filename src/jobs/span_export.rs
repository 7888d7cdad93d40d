//! Job that sends traces to a collector, by OTLP over HTTP (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;

use crate::{
    kv,
    outbound::{HttpClient, HttpClientError, InvalidServerAddress, ServerAddress},
    telemetry::trace::{OTLP_CONTENT_TYPE, Span, Tracer, otlp_document},
};

use super::scheduler::{Job, JobReport};

/// Interval between exports: the maximum age of spans before they are sent.
const EXPORT_INTERVAL: Duration = Duration::from_secs(2);

/// Maximum number of spans per request: some hundred KiB.
const BATCH_SPANS: usize = 512;

/// Maximum number of requests per run of the job.
const MAX_BATCHES: usize = 64;

/// Path for traces below the configured address of a collector.
const TRACES_PATH: &str = "/v1/traces";

/// Address of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorAddress {
    server: ServerAddress,
    /// Prefix of all its paths, without a trailing slash.
    base: String,
}

impl FromStr for CollectorAddress {
    type Err = InvalidServerAddress;

    /// An origin, perhaps with a path: `http://127.0.0.1:4318`, `https://collector.example/otlp`.
    fn from_str(text: &str) -> Result<Self, InvalidServerAddress> {
        let uri: Uri = text.parse().map_err(|_| InvalidServerAddress::NoOrigin)?;
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or(InvalidServerAddress::NoOrigin)?;
        if text.contains(['?', '#']) {
            return Err(InvalidServerAddress::NoOrigin);
        }
        let server = ServerAddress::parse_upstream(&format!("{scheme}://{authority}"))?;
        Ok(Self { server, base: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl std::fmt::Display for CollectorAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.server, self.base)
    }
}

impl CollectorAddress {
    /// Returns the server part of the address.
    pub fn server(&self) -> &ServerAddress {
        &self.server
    }
}

/// Exports queued spans.
#[derive(Debug)]
pub struct SpanExport {
    tracer: Arc<Tracer>,
    collector: HttpClient,
    path: Uri,
    /// Headers of every request, including those set by the operator; the operator's values are marked as sensitive.
    headers: HeaderMap,
    instance: String,
    is_failing: AtomicBool,
}

/// Outcome of sending a batch.
enum SendOutcome {
    /// The collector accepted it.
    Accepted,
    /// The collector rejected it permanently.
    Rejected(StatusCode),
}

/// A temporary failure.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    HttpClient(#[from] HttpClientError),
    #[error("the collector responded {0}")]
    Status(StatusCode),
}

impl SpanExport {
    /// Returns a job that sends the spans of `tracer` to `collector` at `address`; `instance` names this process.
    pub fn new(
        tracer: Arc<Tracer>,
        collector: HttpClient,
        address: &CollectorAddress,
        mut headers: HeaderMap,
        instance: String,
    ) -> Self {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OTLP_CONTENT_TYPE));
        let path = Uri::try_from(format!("{}{TRACES_PATH}", address.base)).unwrap_or(Uri::from_static(TRACES_PATH));
        Self { tracer, collector, path, headers, instance, is_failing: AtomicBool::new(false) }
    }

    async fn send(&self, spans: &[Span]) -> Result<SendOutcome, Failure> {
        let mut request = Request::new(Full::new(Bytes::from(otlp_document(spans, &self.instance))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        let mut answer = self.collector.send(request).await?;
        let status = answer.head.status;
        // Read to its end, so the connection is reused for the next batch.
        while answer.body.chunk().await?.is_some() {}
        match status {
            status if status.is_success() => Ok(SendOutcome::Accepted),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Failure::Status(status)),
            status => Ok(SendOutcome::Rejected(status)),
        }
    }

    /// Logs when sending begins to fail, and when it works again; not every failure in between.
    fn log_failure(&self, failure: Option<&Failure>) {
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(failure) if !was_failing => {
                let error = failure as &dyn std::error::Error;
                tracing::warn!(error, "traces cannot be sent to the collector; some are kept until they can");
            }
            None if was_failing => tracing::info!("traces are sent to the collector again"),
            Some(_) | None => {}
        }
    }
}

#[async_trait]
impl Job for SpanExport {
    fn name(&self) -> &'static str {
        "span export"
    }

    fn interval(&self) -> Duration {
        EXPORT_INTERVAL
    }

    /// Never fails: lost traces are harmless, and counted.
    async fn run_once(&self) -> kv::Result<JobReport> {
        let mut processed = 0;
        for _ in 0..MAX_BATCHES {
            let spans = self.tracer.drain(BATCH_SPANS);
            if spans.is_empty() {
                break;
            }
            match self.send(&spans).await {
                Ok(SendOutcome::Accepted) => {
                    self.tracer.count_sent(spans.len());
                    processed += spans.len();
                    self.log_failure(None);
                }
                Ok(SendOutcome::Rejected(status)) => {
                    self.tracer.count_dropped(spans.len());
                    self.log_failure(Some(&Failure::Status(status)));
                }
                Err(failure) => {
                    self.tracer.requeue(spans);
                    self.log_failure(Some(&failure));
                    break;
                }
            }
        }
        Ok(JobReport { processed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_at_an_origin_or_below_a_path() {
        for (text, base, shown) in [
            ("http://127.0.0.1:4318", "", "http://127.0.0.1:4318"),
            ("http://collector:4318/", "", "http://collector:4318"),
            ("http://collector/otlp/", "/otlp", "http://collector/otlp"),
        ] {
            let address: CollectorAddress = text.parse().expect(text);
            assert_eq!((address.base.as_str(), address.to_string().as_str()), (base, shown));
        }
        for bad in ["", "collector:4318", "/v1/traces", "http://c/?a=b", "http://c/#a", "ftp://c", "http://u:p@c"] {
            assert!(bad.parse::<CollectorAddress>().is_err(), "{bad}");
        }
    }
}
