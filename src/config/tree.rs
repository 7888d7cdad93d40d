//! Everything that can be set, as the modules want it.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use http::{HeaderMap, Uri};

#[cfg(feature = "s3")]
use crate::storage::s3::S3Options;
use crate::{
    api::RateOptions,
    auth::{MasterSecret, Quota, Token, Username},
    jobs::CollectorAddress,
    kv::{CatalogOptions, Retention},
    network::Proxies,
    peer::{InvalidPeerAddress, PeerAddress},
    runs::RunOptions,
    server::ServerOptions,
    storage::DEFAULT_MEMORY_LIMIT,
    telemetry::{Prices, TelemetryOptions},
};

/// Where data stands unless something else was asked for, below the working folder.
const DEFAULT_DATA: &str = "larder-data";

/// Far more than are under way at a time where all is well, and few enough to be answered within a second or so by an object
/// store that is not.
const DEFAULT_MAX_REQUESTS: usize = 256;

/// The largest record unless something else was asked for: what one PUT to S3 takes.
const DEFAULT_MAX_RECORD_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Which share of the requests is traced unless something else was asked for: enough to see what is slow, and too little to be felt.
const DEFAULT_TRACE_RATIO: f64 = 0.01;

/// How a gateway says that it is the keeper itself.
const ITSELF: &str = "self";

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// The HTTP server.
    pub server: ServerOptions,
    /// The log.
    pub telemetry: TelemetryOptions,
    /// Folder of the embedded engine and of the admin token.
    pub data: PathBuf,
    /// The admin token; made at first start when it is not given.
    pub token: Option<Token>,
    /// The master secret; made at first start when it is not given.
    pub secret: Option<MasterSecret>,
    /// The fingerprint of the master secret that this one replaces.
    pub old_secret_fingerprint: Option<String>,
    /// The user whom every start makes sure of.
    pub user: Option<Username>,
    /// That user's token.
    pub user_token: Option<Token>,
    /// What opens the figures on what goes on, and nothing else.
    pub metrics_token: Option<Token>,
    /// Where clients outside reach Larder; the listening address when it is not given.
    pub public_url: Option<PublicUrl>,
    /// Which gateway writes what depends on what is there, where the object store cannot check that itself.
    pub keeper: Option<KeeperSetting>,
    /// Stores: how long unnamed ones live, and how much of them is remembered.
    pub catalog: CatalogOptions,
    /// Whether nothing else writes to what this gateway writes to.
    pub is_sole_gateway: bool,
    /// The most bytes of records that are kept in memory; what fits the backend when it is not given.
    pub record_cache_bytes: Option<u64>,
    /// The most bytes of memory that are held on behalf of clients.
    pub request_memory_bytes: u64,
    /// The largest record, in stored bytes.
    pub max_record_bytes: u64,
    /// How many requests a second are taken.
    pub rates: RateOptions,
    /// How many requests are worked on at once; any number if there is no limit.
    pub max_requests: Option<usize>,
    /// What an account may have that says nothing of its own.
    pub quota: Quota,
    /// Runs of actors: how long one may be silent, and how long finished ones stay.
    pub runs: RunOptions,
    /// The server that has datasets and request queues.
    pub upstream: UpstreamOptions,
    /// Where traces go.
    pub traces: TraceOptions,
    /// The proxies on the way to the object store, the upstream and the collector of traces.
    pub proxies: Arc<Proxies>,
    /// What the object store costs, if it was said.
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
            keeper: None,
            catalog: CatalogOptions::default(),
            is_sole_gateway: false,
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
    /// Returns whether a bucket keeps everything, and not the data folder.
    pub fn has_bucket(&self) -> bool {
        #[cfg(feature = "s3")]
        let has_bucket = !self.s3.bucket.is_empty();
        #[cfg(not(feature = "s3"))]
        let has_bucket = false;
        has_bucket
    }

    /// Returns for how long finished runs stay at least: as long as unnamed stores, unless it is set.
    pub fn run_retention(&self) -> Retention {
        self.runs.retention.unwrap_or(self.catalog.retention)
    }
}

/// Where traces go.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// The collector; without one, nothing is traced.
    pub collector: Option<CollectorAddress>,
    /// Header fields for it, marked as sensitive.
    pub headers: HeaderMap,
    /// Which share of the requests is traced, from 0 to 1.
    pub ratio: f64,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self { collector: None, headers: HeaderMap::new(), ratio: DEFAULT_TRACE_RATIO }
    }
}

/// The gateway that alone writes what depends on what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeeperSetting {
    /// This one.
    Itself,
    /// Another one.
    At(PeerAddress),
}

impl FromStr for KeeperSetting {
    type Err = InvalidPeerAddress;

    fn from_str(text: &str) -> Result<Self, InvalidPeerAddress> {
        match text {
            ITSELF => Ok(Self::Itself),
            origin => PeerAddress::parse(origin).map(Self::At),
        }
    }
}

impl fmt::Display for KeeperSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself => f.write_str(ITSELF),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// A server that has datasets and request queues; both or neither are given.
#[derive(Debug, Clone, Default)]
pub struct UpstreamOptions {
    /// Where it is.
    pub address: Option<PeerAddress>,
    /// Who Larder is there.
    pub token: Option<Token>,
}

/// An origin, as links begin: scheme, host and perhaps a port, and the path below which a proxy serves Larder, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

/// The text is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an origin with a plain path")]
pub struct InvalidPublicUrl;

impl PublicUrl {
    /// The URL's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path, without a slash at the end; empty if there is none.
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
