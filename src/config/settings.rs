//! All settings, and the declarations of those that every build has.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    auth::{MasterSecret, Token},
    outbound::{InvalidServerAddress, ServerAddress},
    server::InvalidTrustedProxies,
    telemetry::{AccessLogSetting, LogFormat},
};

use super::setting::{Setting, count, days, rate, show_size, show_time, show_yes_no, size, time, yes_or_no};

/// Bounds of timeouts.
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);

/// Bounds of the time without a heartbeat of a run.
const HEARTBEAT_TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(30 * 24);

/// Bounds of the size of a record.
const RECORD_SIZE_RANGE: RangeInclusive<u64> = 1..=5 << 40;

/// Bounds of the memory for stores.
const CACHE_SIZE_RANGE: RangeInclusive<u64> = 1 << 20..=1 << 40;

/// Bounds of the memory for records.
const RECORD_CACHE_SIZE_RANGE: RangeInclusive<u64> = 0..=1 << 40;

/// Bounds of the size of a request's head.
const HEADER_SIZE_RANGE: RangeInclusive<u64> = 4 << 10..=1 << 20;

/// Bounds of the number of concurrent requests.
const REQUESTS_RANGE: RangeInclusive<usize> = 0..=1_000_000;

/// Bounds of the number of connections, of all clients and of one.
const CONNECTIONS_RANGE: RangeInclusive<usize> = 1..=1_000_000;

/// Returns all settings, in display order.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    #[cfg(feature = "s3")]
    let s3_settings = super::s3_settings::SETTINGS;
    #[cfg(not(feature = "s3"))]
    let s3_settings: &[Setting] = &[];
    GENERAL.iter().chain(SECRETS).chain(HTTP).chain(QUOTAS).chain(UPSTREAM).chain(OBSERVABILITY).chain(s3_settings)
}

/// Settings of every build.
static GENERAL: &[Setting] = &[
    Setting {
        name: "listen",
        value: "ADDRESS:PORT",
        help: "Address and port to listen on; with port 0, the system chooses the port",
        is_secret: false,
        apply: |config, text| {
            config.server.listen = text.trim().parse().map_err(|_| {
                "is not an IP address and a port; write it like 127.0.0.1:8011, 0.0.0.0:8011 or [::]:8011".to_owned()
            })?;
            Ok(())
        },
        show: |config| Some(config.server.listen.to_string()),
    },
    Setting {
        name: "data",
        value: "FOLDER",
        help: "Data folder, which stores everything unless a bucket is configured; created if it does not exist",
        is_secret: false,
        apply: |config, text| {
            config.data = PathBuf::from(text);
            Ok(())
        },
        show: |config| Some(config.data.display().to_string()),
    },
    Setting {
        name: "token",
        value: "TOKEN",
        help: "Admin token; if not set, one is generated at the first start and stored with the data",
        is_secret: true,
        apply: |config, text| {
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(
                    "has characters that are not allowed in an HTTP header; use printable ASCII characters".to_owned()
                );
            }
            config.token = Some(Token::new(text));
            Ok(())
        },
        show: |config| config.token.as_ref().map(|_| String::new()),
    },
    Setting {
        name: "user",
        value: "USERNAME",
        help: "User that is created at the start unless one of that name exists",
        is_secret: false,
        apply: |config, text| {
            config.user = Some(text.trim().parse().map_err(|_| {
                "is not a username; use 3 to 30 of a-z, A-Z, 0-9, '_', '.' and '-', and not the form of an id"
                    .to_owned()
            })?);
            Ok(())
        },
        show: |config| config.user.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "user_token",
        value: "TOKEN",
        help: "Token of LARDER_USER, valid from the start, as printed by `larder token generate`; a token that was set \
               here before is revoked",
        is_secret: true,
        apply: |config, text| {
            if !Token::is_well_formed(text) {
                return Err(
                    "is not a token that Larder generated, or is mistyped; `larder token generate` prints a valid one"
                        .to_owned(),
                );
            }
            config.user_token = Some(Token::new(text));
            Ok(())
        },
        show: |config| config.user_token.as_ref().map(|_| String::new()),
    },
    Setting {
        name: "metrics_token",
        value: "TOKEN",
        help: "Token that gives access to /metrics and nothing else; without it, only the administrator can read \
               metrics",
        is_secret: true,
        apply: |config, text| {
            if text.trim().is_empty() {
                return Err("is empty".to_owned());
            }
            config.metrics_token = Some(Token::new(text));
            Ok(())
        },
        show: |config| config.metrics_token.as_ref().map(|_| String::new()),
    },
    Setting {
        name: "public_url",
        value: "URL",
        help: "Public URL of Larder, used in links, with the path prefix of a proxy if there is one; if not set, the \
               listening address",
        is_secret: false,
        apply: |config, text| {
            let url = text.trim().parse().map_err(|_| {
                "is not a URL with an optional plain path; write it like https://larder.example or https://example.com/larder"
                    .to_owned()
            })?;
            config.public_url = Some(url);
            Ok(())
        },
        show: |config| config.public_url.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "leader",
        value: "self|URL",
        help: "Only for object stores without conditional writes: self on the one gateway that performs all \
               conditional writes, and its http:// origin on the followers, which forward such requests to it",
        is_secret: false,
        apply: |config, text| {
            let text = text.trim();
            config.leader =
                Some(text.parse().map_err(|error: InvalidServerAddress| format!("{error}, or self on the leader"))?);
            Ok(())
        },
        show: |config| config.leader.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "retention_days",
        value: "DAYS",
        help: "Retention of unnamed stores, in days since their last change; fractions are allowed",
        is_secret: false,
        apply: |config, text| {
            config.catalog.retention = days(text)?;
            Ok(())
        },
        show: |config| Some(config.catalog.retention.as_days().to_string()),
    },
    Setting {
        name: "max_record_size",
        value: "SIZE",
        help: "Maximum size of a record, in stored bytes",
        is_secret: false,
        apply: |config, text| {
            config.max_record_bytes = size(text, RECORD_SIZE_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_size(config.max_record_bytes)),
    },
    Setting {
        name: "max_client_rps",
        value: "NUMBER",
        help: "Maximum requests per second per user, or per address for requests without a token; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.rates.caller = rate(text)?;
            Ok(())
        },
        show: |config| config.rates.caller.map(|rate| rate.to_string()),
    },
    Setting {
        name: "max_store_rps",
        value: "NUMBER",
        help: "Maximum requests per second per store, not counting those for its records; the Apify platform allows \
               60; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.rates.store = rate(text)?;
            Ok(())
        },
        show: |config| config.rates.store.map(|rate| rate.to_string()),
    },
    Setting {
        name: "max_record_rps",
        value: "NUMBER",
        help: "Maximum requests per second for the records of a store; the Apify platform allows 200; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.rates.records = rate(text)?;
            Ok(())
        },
        show: |config| config.rates.records.map(|rate| rate.to_string()),
    },
    Setting {
        name: "max_requests",
        value: "NUMBER",
        help: "Maximum number of concurrent requests, not counting large uploads; further ones wait briefly and then \
               get a 503; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.max_requests = Some(count(text, REQUESTS_RANGE)?).filter(|limit| *limit > 0);
            Ok(())
        },
        show: |config| Some(config.max_requests.unwrap_or_default().to_string()),
    },
    Setting {
        name: "run_heartbeat_timeout",
        value: "TIME",
        help: "Time without a heartbeat after which a run of an Actor is considered dead",
        is_secret: false,
        apply: |config, text| {
            config.runs.heartbeat_timeout = time(text, HEARTBEAT_TIMEOUT_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_time(config.runs.heartbeat_timeout)),
    },
    Setting {
        name: "run_retention_days",
        value: "DAYS",
        help: "Retention of finished runs, in days since their end; a run stays longer if its unnamed store does; if \
               not set, LARDER_RETENTION_DAYS",
        is_secret: false,
        apply: |config, text| {
            config.runs.retention = Some(days(text)?);
            Ok(())
        },
        show: |config| config.runs.retention.map(|retention| retention.as_days().to_string()),
    },
    Setting {
        name: "cache_size",
        value: "SIZE",
        help: "Maximum size of the in-memory cache of store metadata",
        is_secret: false,
        apply: |config, text| {
            config.catalog.cache.capacity_bytes = size(text, CACHE_SIZE_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_size(config.catalog.cache.capacity_bytes)),
    },
    Setting {
        name: "exclusive_bucket",
        value: "yes|no",
        help: "Declares that no other gateway and no other program writes to the bucket; required for the record cache",
        is_secret: false,
        apply: |config, text| {
            config.is_exclusive_bucket = yes_or_no(text)?;
            Ok(())
        },
        show: |config| Some(show_yes_no(config.is_exclusive_bucket)),
    },
    Setting {
        name: "record_cache_size",
        value: "SIZE",
        help: "Maximum size of the in-memory cache of small records (up to 64 KiB); 0 disables it; if not set, 32MiB \
               with a data folder and 0 with a bucket, where it requires LARDER_EXCLUSIVE_BUCKET",
        is_secret: false,
        apply: |config, text| {
            config.record_cache_bytes = Some(size(text, RECORD_CACHE_SIZE_RANGE)?);
            Ok(())
        },
        show: |config| config.record_cache_bytes.map(show_size),
    },
    Setting {
        name: "max_connections",
        value: "NUMBER",
        help: "Maximum number of open connections; further ones get a 503",
        is_secret: false,
        apply: |config, text| {
            config.server.max_connections = count(text, CONNECTIONS_RANGE)?;
            Ok(())
        },
        show: |config| Some(config.server.max_connections.to_string()),
    },
    Setting {
        name: "max_header_size",
        value: "SIZE",
        help: "Maximum size of the request line and the headers together",
        is_secret: false,
        apply: |config, text| {
            config.server.max_header_bytes = usize::try_from(size(text, HEADER_SIZE_RANGE)?).unwrap_or(usize::MAX);
            Ok(())
        },
        show: |config| Some(show_size(config.server.max_header_bytes as u64)),
    },
    Setting {
        name: "header_timeout",
        value: "TIME",
        help: "Timeout for receiving the request line and the headers",
        is_secret: false,
        apply: |config, text| {
            config.server.header_timeout = time(text, TIMEOUT_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_time(config.server.header_timeout)),
    },
    Setting {
        name: "idle_timeout",
        value: "TIME",
        help: "Timeout for an idle connection between two requests",
        is_secret: false,
        apply: |config, text| {
            config.server.idle_timeout = time(text, TIMEOUT_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_time(config.server.idle_timeout)),
    },
    Setting {
        name: "stall_timeout",
        value: "TIME",
        help: "Timeout for a request or response body that makes no progress",
        is_secret: false,
        apply: |config, text| {
            config.server.stall_timeout = time(text, TIMEOUT_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_time(config.server.stall_timeout)),
    },
    Setting {
        name: "drain_timeout",
        value: "TIME",
        help: "Timeout for requests in flight after a signal to stop",
        is_secret: false,
        apply: |config, text| {
            config.server.drain_timeout = time(text, Duration::ZERO..=*TIMEOUT_RANGE.end())?;
            Ok(())
        },
        show: |config| Some(show_time(config.server.drain_timeout)),
    },
    Setting {
        name: "log",
        value: "LEVEL",
        help: "Log level: off, error, warn, info, debug or trace; also per module, such as info,larder::server=debug",
        is_secret: false,
        apply: |config, text| {
            config.telemetry.filter = text.trim().parse().map_err(|error| {
                format!("is not a log level ({error}); write it like info, debug or info,larder::server=debug")
            })?;
            Ok(())
        },
        show: |config| Some(config.telemetry.filter.to_string()),
    },
    Setting {
        name: "log_format",
        value: "FORMAT",
        help: "Format of log entries: text or json",
        is_secret: false,
        apply: |config, text| {
            config.telemetry.format = match text.trim() {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err("is not a log format; write text or json".to_owned()),
            };
            Ok(())
        },
        show: |config| Some(config.telemetry.format.to_string()),
    },
];

/// The master secret, and its replacement.
static SECRETS: &[Setting] = &[
    Setting {
        name: "secret",
        value: "SECRET",
        help: "Master secret that signs links; if not set, one is generated at the first start and stored with the \
               data",
        is_secret: true,
        apply: |config, text| {
            config.secret = Some(MasterSecret::new(text));
            Ok(())
        },
        show: |config| config.secret.as_ref().map(|_| String::new()),
    },
    Setting {
        name: "old_secret_fingerprint",
        value: "FINGERPRINT",
        help: "Fingerprint of the master secret that LARDER_SECRET replaces, as printed when the start is refused",
        is_secret: false,
        apply: |config, text| {
            let text = text.trim();
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(
                    "is not a fingerprint; write the hexadecimal digits that the refused start printed".to_owned()
                );
            }
            config.old_secret_fingerprint = Some(text.to_ascii_lowercase());
            Ok(())
        },
        show: |config| config.old_secret_fingerprint.clone(),
    },
];

/// Maximum delay for load balancers.
const MAX_DRAIN_DELAY: Duration = Duration::from_hours(1);

/// Bounds of the memory for requests.
const REQUEST_MEMORY_RANGE: RangeInclusive<u64> = 32 << 20..=1 << 40;

/// HTTPS, trusted proxies, memory for requests, and the drain.
static HTTP: &[Setting] = &[
    Setting {
        name: "tls_cert",
        value: "FILE",
        help: "PEM file with the TLS certificate chain; enables HTTPS and requires LARDER_TLS_KEY; without it, Larder \
               serves plain HTTP",
        is_secret: false,
        apply: |config, text| {
            config.server.tls.certificate = Some(PathBuf::from(text));
            Ok(())
        },
        show: |config| config.server.tls.certificate.as_ref().map(|path| path.display().to_string()),
    },
    Setting {
        name: "tls_key",
        value: "FILE",
        help: "PEM file with the private key of the TLS certificate, without a passphrase",
        is_secret: false,
        apply: |config, text| {
            config.server.tls.key = Some(PathBuf::from(text));
            Ok(())
        },
        show: |config| config.server.tls.key.as_ref().map(|path| path.display().to_string()),
    },
    Setting {
        name: "trusted_proxies",
        value: "NETWORKS",
        help: "Comma-separated addresses and networks of proxies whose X-Forwarded-For, -Proto and -Host headers are \
               trusted; if not set, no proxy is trusted",
        is_secret: false,
        apply: |config, text| {
            config.server.trusted_proxies = text.parse().map_err(|error: InvalidTrustedProxies| {
                format!("is not a list of networks: {error}; write it like 10.0.0.0/8,fd00::/8")
            })?;
            Ok(())
        },
        show: |config| {
            Some(&config.server.trusted_proxies).filter(|proxies| !proxies.is_empty()).map(ToString::to_string)
        },
    },
    Setting {
        name: "max_client_connections",
        value: "NUMBER",
        help: "Maximum number of open connections per client address (per /64 network for IPv6); further ones get a \
               503; if not set, a quarter of LARDER_MAX_CONNECTIONS; trusted proxies are exempt",
        is_secret: false,
        apply: |config, text| {
            config.server.max_client_connections = Some(count(text, CONNECTIONS_RANGE)?);
            Ok(())
        },
        show: |config| config.server.max_client_connections.map(|most| most.to_string()),
    },
    Setting {
        name: "drain_delay",
        value: "TIME",
        help: "Time between losing readiness and closing the listener after a signal to stop, so that load balancers \
               notice; behind one, use 5s to 10s",
        is_secret: false,
        apply: |config, text| {
            config.server.drain_delay = time(text, Duration::ZERO..=MAX_DRAIN_DELAY)?;
            Ok(())
        },
        show: |config| Some(show_time(config.server.drain_delay)),
    },
    Setting {
        name: "request_memory",
        value: "SIZE",
        help: "Maximum memory for request data that must be buffered: JSON, records that are validated, parts of \
               multipart uploads, and decoders; each caller can use at most half, and requests wait while it is used \
               up",
        is_secret: false,
        apply: |config, text| {
            config.request_memory_bytes = size(text, REQUEST_MEMORY_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_size(config.request_memory_bytes)),
    },
];

/// Bounds of the interval between recounts.
const RECOUNT_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 7);

/// Bounds of sizes.
const QUOTA_BYTES_RANGE: RangeInclusive<u64> = 0..=1 << 60;

/// Bounds of numbers.
const QUOTA_COUNT_RANGE: RangeInclusive<usize> = 0..=1 << 50;

/// Quotas, and the recount of usage.
static QUOTAS: &[Setting] = &[
    Setting {
        name: "max_user_stores",
        value: "NUMBER",
        help: "Default quota: maximum number of stores per user; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.stores = count_limit(text)?;
            Ok(())
        },
        show: |config| config.quota.stores.map(|number| number.to_string()),
    },
    Setting {
        name: "max_user_records",
        value: "NUMBER",
        help: "Default quota: maximum number of records in all stores of a user; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.records = count_limit(text)?;
            Ok(())
        },
        show: |config| config.quota.records.map(|number| number.to_string()),
    },
    Setting {
        name: "max_user_size",
        value: "SIZE",
        help: "Default quota: maximum stored bytes in all stores of a user; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.bytes = limit(size(text, QUOTA_BYTES_RANGE)?);
            Ok(())
        },
        show: |config| config.quota.bytes.map(show_size),
    },
    Setting {
        name: "max_store_records",
        value: "NUMBER",
        help: "Default quota: maximum number of records per store; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.store_records = count_limit(text)?;
            Ok(())
        },
        show: |config| config.quota.store_records.map(|number| number.to_string()),
    },
    Setting {
        name: "max_store_size",
        value: "SIZE",
        help: "Default quota: maximum stored bytes per store; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.store_bytes = limit(size(text, QUOTA_BYTES_RANGE)?);
            Ok(())
        },
        show: |config| config.quota.store_bytes.map(show_size),
    },
    Setting {
        name: "usage_recount_interval",
        value: "TIME",
        help: "Minimum interval between two counts of the records and bytes of a store that keeps changing",
        is_secret: false,
        apply: |config, text| {
            config.catalog.count_interval = time(text, RECOUNT_INTERVAL_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_time(config.catalog.count_interval)),
    },
];

fn count_limit(text: &str) -> Result<Option<u64>, String> {
    Ok(limit(count(text, QUOTA_COUNT_RANGE)? as u64))
}

fn limit(limit: u64) -> Option<u64> {
    Some(limit).filter(|limit| *limit > 0)
}

/// Address of the upstream for datasets and request queues, and Larder's token there.
static UPSTREAM: &[Setting] = &[
    Setting {
        name: "upstream_url",
        value: "URL",
        help: "Apify-compatible server to which requests for datasets and request queues are forwarded; requires \
               LARDER_UPSTREAM_TOKEN",
        is_secret: false,
        apply: |config, text| {
            let address = ServerAddress::parse_upstream(text.trim());
            config.upstream.address = Some(address.map_err(|error| error.to_string())?);
            Ok(())
        },
        show: |config| config.upstream.address.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "upstream_token",
        value: "TOKEN",
        help: "Token for requests to the upstream; tokens of callers are not forwarded",
        is_secret: true,
        apply: |config, text| {
            let text = text.trim();
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(
                    "has characters that are not allowed in an HTTP header; use printable ASCII characters".to_owned()
                );
            }
            config.upstream.token = Some(Token::new(text));
            Ok(())
        },
        show: |config| config.upstream.token.as_ref().map(|_| String::new()),
    },
];

/// Settings of traces, of the access log, and of the prices of object calls.
static OBSERVABILITY: &[Setting] = &[
    Setting {
        name: "otlp_endpoint",
        value: "URL",
        help: "OpenTelemetry collector that receives traces by OTLP over HTTP, such as http://127.0.0.1:4318; without \
               it, tracing is off",
        is_secret: false,
        apply: |config, text| {
            config.traces.collector = Some(text.trim().parse().map_err(|_| {
                "is not the URL of a collector; write it like http://127.0.0.1:4318 or https://collector.example/otlp"
                    .to_owned()
            })?);
            Ok(())
        },
        show: |config| config.traces.collector.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "otlp_headers",
        value: "NAME=VALUE,...",
        help: "HTTP headers for requests to the collector, such as an API key",
        is_secret: true,
        apply: |config, text| {
            config.traces.headers = headers(text)?;
            Ok(())
        },
        show: |config| (!config.traces.headers.is_empty()).then(String::new),
    },
    Setting {
        name: "trace_ratio",
        value: "SHARE",
        help: "Fraction of requests that are traced, from 0 to 1, in addition to requests that their callers trace",
        is_secret: false,
        apply: |config, text| {
            let ratio = text.trim().parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            config.traces.ratio = ratio.ok_or_else(|| "is not a number from 0 to 1; write it like 0.01".to_owned())?;
            Ok(())
        },
        show: |config| Some(config.traces.ratio.to_string()),
    },
    Setting {
        name: "prices",
        value: "LIST",
        help: "Prices of the object store, for the estimated cost of usage: per 1,000 requests of class A and B, and \
               per GiB in and out, such as a=0.005,b=0.0004,in=0,out=0.09,currency=USD",
        is_secret: false,
        apply: |config, text| {
            config.prices = Some(text.parse().map_err(|error| {
                format!("is not a price list ({error}); write it like a=0.005,b=0.0004,in=0,out=0.09,currency=USD")
            })?);
            Ok(())
        },
        show: |config| config.prices.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "access_log",
        value: "FORMAT",
        help: "Format of the access log, one line per request on standard error: text, json or off; if not set, the \
               format of the log, or off if standard error is a terminal",
        is_secret: false,
        apply: |config, text| {
            config.telemetry.access_log = Some(match text.trim() {
                "off" => AccessLogSetting::Off,
                "text" => AccessLogSetting::On(LogFormat::Text),
                "json" => AccessLogSetting::On(LogFormat::Json),
                _ => return Err("is not a format of the access log; write text, json or off".to_owned()),
            });
            Ok(())
        },
        show: |config| config.telemetry.access_log.map(|setting| setting.to_string()),
    },
];

/// Parses header fields; their values are secrets, and no error repeats them.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let invalid = || "is not a list of headers; write it like x-api-key=KEY,x-other=VALUE".to_owned();
    let mut headers = HeaderMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(invalid)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| invalid())?;
        let mut value = HeaderValue::try_from(value.trim()).map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
