//! Settings of HTTP: HTTPS, trusted proxies, memory for requests, and the drain behind a load balancer.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use crate::server::InvalidTrustedProxies;

use super::setting::{Setting, count, show_size, show_time, size, time};

/// Maximum delay for load balancers.
const MAX_DRAIN_DELAY: Duration = Duration::from_hours(1);

/// Bounds of the number of connections of a client.
const CONNECTIONS_RANGE: RangeInclusive<usize> = 1..=1_000_000;

/// Bounds of the memory for requests.
const REQUEST_MEMORY_RANGE: RangeInclusive<u64> = 32 << 20..=1 << 40;

/// HTTPS, trusted proxies, memory for requests, and the drain.
pub(super) static SETTINGS: &[Setting] = &[
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
