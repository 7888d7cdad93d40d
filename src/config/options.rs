//! The configuration: all options, each in the type of the module that it configures.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use http::{HeaderMap, Uri};

use crate::{
    api::RateOptions,
    auth::{MasterSecret, Quota, Token, Username},
    jobs::CollectorAddress,
    kv::{CatalogOptions, Retention},
    network::Proxies,
    outbound::{InvalidServerAddress, ServerAddress},
    runs::RunOptions,
    server::ServerOptions,
    storage::DEFAULT_MEMORY_LIMIT,
    telemetry::{Prices, TelemetryOptions},
};

#[cfg(feature = "s3")]
use crate::storage::s3::S3Options;

/// Default data folder, below the working folder.
const DEFAULT_DATA: &str = "larder-data";

/// Default number of concurrent requests: far more than are in progress in normal operation, and few enough for an
/// overloaded object store to respond within a second or so.
const DEFAULT_MAX_REQUESTS: usize = 256;

/// Default maximum size of a record: that of one PUT to S3.
const DEFAULT_MAX_RECORD_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Default fraction of traced requests: enough to see slow ones, too few to affect performance.
const DEFAULT_TRACE_RATIO: f64 = 0.01;

/// Value by which a gateway declares itself the leader.
const SELF_VALUE: &str = "self";

/// All options.
#[derive(Debug, Clone)]
pub struct Config {
    /// The HTTP server.
    pub server: ServerOptions,
    /// The log.
    pub telemetry: TelemetryOptions,
    /// Folder of the embedded engine and of the admin token.
    pub data: PathBuf,
    /// The admin token; generated at the first start if absent.
    pub token: Option<Token>,
    /// The master secret; generated at the first start if absent.
    pub secret: Option<MasterSecret>,
    /// Fingerprint of the master secret that this one replaces.
    pub old_secret_fingerprint: Option<String>,
    /// User that every start ensures.
    pub user: Option<Username>,
    /// That user's token.
    pub user_token: Option<Token>,
    /// Token that gives access to the metrics only.
    pub metrics_token: Option<Token>,
    /// Public address for clients; the listening address if absent.
    pub public_url: Option<PublicUrl>,
    /// The leader, which performs all conditional writes where the object store does not support them.
    pub leader: Option<LeaderSetting>,
    /// Stores: retention of unnamed ones, and size of their cache.
    pub catalog: CatalogOptions,
    /// True if this gateway is the only writer of its backend.
    pub is_exclusive_bucket: bool,
    /// Maximum size in bytes of the record cache; by default one that fits the backend.
    pub record_cache_bytes: Option<u64>,
    /// Maximum memory in bytes for requests.
    pub request_memory_bytes: u64,
    /// Maximum size of a record, in stored bytes.
    pub max_record_bytes: u64,
    /// Rate limits, in requests per second.
    pub rates: RateOptions,
    /// Maximum number of concurrent requests; `None` for no limit.
    pub max_requests: Option<usize>,
    /// Default quota of accounts.
    pub quota: Quota,
    /// Runs of actors: heartbeat timeout, and retention of finished ones.
    pub runs: RunOptions,
    /// Upstream for datasets and request queues.
    pub upstream: UpstreamOptions,
    /// Export of traces.
    pub traces: TraceOptions,
    /// Proxies to the object store, the upstream and the trace collector.
    pub proxies: Arc<Proxies>,
    /// Prices of the object store, if configured.
    pub prices: Option<Prices>,
    /// The object store; without a bucket, the embedded engine is used.
    #[cfg(feature = "s3")]
    pub s3: S3Options,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerOptions::default(),
            telemetry: TelemetryOptions::default(),
            data: PathBuf::from(DEFAULT_DATA),
            token: None,
            secret: None,
            old_secret_fingerprint: None,
            user: None,
            user_token: None,
            metrics_token: None,
            public_url: None,
            leader: None,
            catalog: CatalogOptions::default(),
            is_exclusive_bucket: false,
            record_cache_bytes: None,
            request_memory_bytes: DEFAULT_MEMORY_LIMIT,
            max_record_bytes: DEFAULT_MAX_RECORD_BYTES,
            rates: RateOptions::default(),
            max_requests: Some(DEFAULT_MAX_REQUESTS),
            quota: Quota::default(),
            runs: RunOptions::default(),
            upstream: UpstreamOptions::default(),
            traces: TraceOptions::default(),
            proxies: Arc::default(),
            prices: None,
            #[cfg(feature = "s3")]
            s3: S3Options::new(""),
        }
    }
}

impl Config {
    /// Returns whether a bucket stores the data, and not the data folder.
    pub fn has_bucket(&self) -> bool {
        #[cfg(feature = "s3")]
        let has_bucket = !self.s3.bucket.is_empty();
        #[cfg(not(feature = "s3"))]
        let has_bucket = false;
        has_bucket
    }

    /// Returns the minimum retention of finished runs: by default that of unnamed stores.
    pub fn run_retention(&self) -> Retention {
        self.runs.retention.unwrap_or(self.catalog.retention)
    }
}

/// Export of traces.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// Address of the collector; without one, nothing is traced.
    pub collector: Option<CollectorAddress>,
    /// Header fields for the collector, marked as sensitive.
    pub headers: HeaderMap,
    /// Fraction of traced requests, from 0 to 1.
    pub ratio: f64,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self { collector: None, headers: HeaderMap::new(), ratio: DEFAULT_TRACE_RATIO }
    }
}

/// The gateway that performs all conditional writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaderSetting {
    /// This gateway.
    ThisGateway,
    /// Another gateway.
    OtherGateway(ServerAddress),
}

impl FromStr for LeaderSetting {
    type Err = InvalidServerAddress;

    fn from_str(text: &str) -> Result<Self, InvalidServerAddress> {
        match text {
            SELF_VALUE => Ok(Self::ThisGateway),
            origin => ServerAddress::parse(origin).map(Self::OtherGateway),
        }
    }
}

impl fmt::Display for LeaderSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThisGateway => f.write_str(SELF_VALUE),
            Self::OtherGateway(address) => address.fmt(f),
        }
    }
}

/// Upstream for datasets and request queues; both fields are given, or neither.
#[derive(Debug, Clone, Default)]
pub struct UpstreamOptions {
    /// Its address.
    pub address: Option<ServerAddress>,
    /// Larder's token there.
    pub token: Option<Token>,
}

/// Origin of links: scheme, host and perhaps a port, and the path below which a proxy serves Larder, without a trailing
/// slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

/// Error for a text that is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an origin with a plain path")]
pub struct InvalidPublicUrl;

impl PublicUrl {
    /// Returns the URL's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path, without a trailing slash; empty if there is none.
    pub fn path(&self) -> &str {
        let host = self.0.find("://").map_or(0, |at| at + "://".len());
        self.0[host..].find('/').map_or("", |at| &self.0[host + at..])
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let uri = text.parse::<Uri>().map_err(|_| InvalidPublicUrl)?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme)).ok_or(InvalidPublicUrl)?;
        let authority =
            uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(InvalidPublicUrl)?;
        let path = uri.path().strip_suffix('/').unwrap_or(uri.path());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain);
        let is_path = path.is_empty() || path.split('/').skip(1).all(is_segment);
        if authority.host().is_empty() || !is_path || text.contains(['?', '#']) {
            return Err(InvalidPublicUrl);
        }
        Ok(Self(format!("{scheme}://{authority}{path}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin_and_perhaps_a_path_without_a_slash_at_its_end() {
        for (given, origin) in [
            ("http://localhost:8011", "http://localhost:8011"),
            ("https://larder.example/", "https://larder.example"),
            ("http://[::1]:80", "http://[::1]:80"),
            ("https://example.com/larder/", "https://example.com/larder"),
            ("https://example.com/a/b", "https://example.com/a/b"),
        ] {
            let url = given.parse::<PublicUrl>().expect(given);
            assert_eq!(url.as_str(), origin);
            assert!(url.as_str().ends_with(url.path()) && url.path().is_empty() != origin.contains("example.com/"));
        }
        for bad in [
            "",
            "larder.example",
            "ftp://a",
            "http://a//b",
            "http://a/../b",
            "http://a/%2e",
            "http://a/b//",
            "http://a/?b",
            "http://u:p@a",
            "http://",
            "http://a#b",
        ] {
            assert!(bad.parse::<PublicUrl>().is_err(), "{bad}");
        }
    }
}
