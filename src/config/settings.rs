//! All settings, and the declarations of those of every build that are not about HTTP or observability.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use crate::{
    auth::{MasterSecret, Token},
    outbound::{InvalidPeerAddress, PeerAddress},
    telemetry::LogFormat,
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

/// Bounds of the number of connections.
const CONNECTIONS_RANGE: RangeInclusive<usize> = 1..=1_000_000;

/// Returns all settings, in display order.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    #[cfg(feature = "s3")]
    let s3_settings = super::s3_settings::SETTINGS;
    #[cfg(not(feature = "s3"))]
    let s3_settings: &[Setting] = &[];
    GENERAL
        .iter()
        .chain(SECRETS)
        .chain(super::http_settings::SETTINGS)
        .chain(QUOTAS)
        .chain(UPSTREAM)
        .chain(super::observability_settings::SETTINGS)
        .chain(s3_settings)
}

/// Settings of every build.
static GENERAL: &[Setting] = &[
    Setting {
        name: "listen",
        value: "ADDRESS:PORT",
        help: "Address and port to listen on; port 0 lets the system choose",
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
        help: "Folder that holds everything when no object store is configured; made if it is missing",
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
        help: "The admin token; without it, one is made at first start and kept in the data folder",
        is_secret: true,
        apply: |config, text| {
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("has characters that a header cannot carry; use letters, digits and ASCII signs".to_owned());
            }
            config.token = Some(Token::new(text));
            Ok(())
        },
        show: |config| config.token.as_ref().map(|_| String::new()),
    },
    Setting {
        name: "user",
        value: "USERNAME",
        help: "A user who is made at the start unless there is one of that name",
        is_secret: false,
        apply: |config, text| {
            config.user = Some(text.trim().parse().map_err(|_| {
                "is not a username: 3 to 30 of a-z, A-Z, 0-9, '_', '.' and '-', which do not look like an id".to_owned()
            })?);
            Ok(())
        },
        show: |config| config.user.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "user_token",
        value: "TOKEN",
        help: "The token of that user, valid from the start on, as `larder token generate` prints it; the one that was set here before is revoked",
        is_secret: true,
        apply: |config, text| {
            if !Token::is_of_form(text) {
                return Err(
                    "is not of the form of tokens or mistyped; `larder token generate` prints one that can be set"
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
        help: "A token that opens /metrics and nothing else; without it, only the administrator may read figures",
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
        help: "Where clients reach Larder from outside, for links, with the path below which a proxy serves it if it does; the listening address if it is not set",
        is_secret: false,
        apply: |config, text| {
            let url = text.trim().parse().map_err(|_| {
                "is not where clients can reach it; write it like https://larder.example or https://example.com/larder"
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
        help: "Where an object store has no conditional writes: self on the one gateway that makes all writes that need \
               them, its http:// origin on the others, which pass such calls on to it",
        is_secret: false,
        apply: |config, text| {
            let text = text.trim();
            config.leader = Some(
                text.parse().map_err(|error: InvalidPeerAddress| format!("{error}, or self on the leader itself"))?,
            );
            Ok(())
        },
        show: |config| config.leader.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "retention_days",
        value: "DAYS",
        help: "Days that an unnamed store lives after its last change; fractions are allowed",
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
        help: "The largest record that is taken, in stored bytes",
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
        help: "Requests a second that one user, or one address without a token, may make; 0 for no limit",
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
        help: "Requests a second for one store, those for its records aside; the platform's limit is 60; 0 for no limit",
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
        help: "Requests a second for the records of one store; the platform's limit is 200; 0 for no limit",
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
        help: "Requests worked on at once, large uploads aside; further ones wait a little and then get a 503; 0 for no limit",
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
        help: "How long a run of an actor may give no sign of life before it is taken for dead",
        is_secret: false,
        apply: |config, text| {
            config.runs.silence = time(text, HEARTBEAT_TIMEOUT_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_time(config.runs.silence)),
    },
    Setting {
        name: "run_retention_days",
        value: "DAYS",
        help: "Days that a finished run stays after its end, and longer if its unnamed store does; as retention_days if it is not set",
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
        help: "Memory for what is remembered of stores",
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
        help: "Whether no other gateway and nothing else writes to the bucket: small records may be kept in memory then",
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
        help: "Memory for small records that were read, 0 for none; before a bucket it needs LARDER_EXCLUSIVE_BUCKET",
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
        help: "Connections served at once; further ones get a 503",
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
        help: "The most that a request's line and headers may take together",
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
        help: "How long a request's line and headers may take",
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
        help: "How long a connection may stand between two requests",
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
        help: "How long a body may stand still, up or down, before the connection is closed",
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
        help: "How long requests in flight may go on after the signal to stop",
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
        help: "What is logged: off, error, warn, info, debug or trace; by module as in info,larder::server=debug",
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
        help: "The form of log lines: text or json",
        is_secret: false,
        apply: |config, text| {
            config.telemetry.format = match text.trim() {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err("is not a form of log lines; write text or json".to_owned()),
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
        help: "The master secret that signs links; without it, one is made at first start and kept with the data",
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
        help: "The fingerprint of the master secret that another one replaces, as the refused start shows it",
        is_secret: false,
        apply: |config, text| {
            let text = text.trim();
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err("is no fingerprint; write the hexadecimal digits that the refused start shows".to_owned());
            }
            config.old_secret_fingerprint = Some(text.to_ascii_lowercase());
            Ok(())
        },
        show: |config| config.old_secret_fingerprint.clone(),
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
        help: "Stores that one user may have, if nothing else is set for him; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.stores = number(text)?;
            Ok(())
        },
        show: |config| config.quota.stores.map(|number| number.to_string()),
    },
    Setting {
        name: "max_user_records",
        value: "NUMBER",
        help: "Records that one user may have in all his stores, if nothing else is set for him; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.records = number(text)?;
            Ok(())
        },
        show: |config| config.quota.records.map(|number| number.to_string()),
    },
    Setting {
        name: "max_user_size",
        value: "SIZE",
        help: "Stored bytes that one user may have in all his stores, if nothing else is set for him; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.bytes = some(size(text, QUOTA_BYTES_RANGE)?);
            Ok(())
        },
        show: |config| config.quota.bytes.map(show_size),
    },
    Setting {
        name: "max_store_records",
        value: "NUMBER",
        help: "Records that one store may have, if nothing else is set for its owner; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.store_records = number(text)?;
            Ok(())
        },
        show: |config| config.quota.store_records.map(|number| number.to_string()),
    },
    Setting {
        name: "max_store_size",
        value: "SIZE",
        help: "Stored bytes that one store may have, if nothing else is set for its owner; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.store_bytes = some(size(text, QUOTA_BYTES_RANGE)?);
            Ok(())
        },
        show: |config| config.quota.store_bytes.map(show_size),
    },
    Setting {
        name: "usage_recount_interval",
        value: "TIME",
        help: "How often it is counted at most what is in a store that keeps changing",
        is_secret: false,
        apply: |config, text| {
            config.catalog.count_interval = time(text, RECOUNT_INTERVAL_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_time(config.catalog.count_interval)),
    },
];

fn number(text: &str) -> Result<Option<u64>, String> {
    Ok(some(count(text, QUOTA_COUNT_RANGE)? as u64))
}

fn some(limit: u64) -> Option<u64> {
    Some(limit).filter(|limit| *limit > 0)
}

/// Address of the upstream for datasets and request queues, and Larder's token there.
static UPSTREAM: &[Setting] = &[
    Setting {
        name: "upstream_url",
        value: "URL",
        help: "An Apify-compatible server that calls for datasets and request queues are passed on to; needs \
               LARDER_UPSTREAM_TOKEN",
        is_secret: false,
        apply: |config, text| {
            let address = PeerAddress::parse_upstream(text.trim());
            config.upstream.address = Some(address.map_err(|error| error.to_string())?);
            Ok(())
        },
        show: |config| config.upstream.address.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "upstream_token",
        value: "TOKEN",
        help: "The token that such calls are made with; callers' own tokens are not passed on",
        is_secret: true,
        apply: |config, text| {
            let text = text.trim();
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("has characters that a header cannot carry; use letters, digits and ASCII signs".to_owned());
            }
            config.upstream.token = Some(Token::new(text));
            Ok(())
        },
        show: |config| config.upstream.token.as_ref().map(|_| String::new()),
    },
];
