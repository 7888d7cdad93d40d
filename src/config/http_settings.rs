//! Settings of HTTP: HTTPS, trusted proxies, memory for requests, and the drain behind a load balancer.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use crate::server::InvalidNetwork;

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
        help: "PEM file with the certificate for HTTPS and those that lead to an authority; needs LARDER_TLS_KEY; plain HTTP without",
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
        help: "PEM file with the key of that certificate, without a passphrase",
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
        help: "Proxies that are believed about where requests come from (X-Forwarded-For, -Proto, -Host): addresses and networks, \
               separated by commas; nobody is believed if it is not set",
        is_secret: false,
        apply: |config, text| {
            config.server.trusted_proxies = text.parse().map_err(|error: InvalidNetwork| {
                format!("is no list of networks: {error}; write it like 10.0.0.0/8,fd00::/8")
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
        help: "Connections of one address (of IPv6: of the first 64 bits) at once; further ones get a 503; a quarter of all if it is not \
               set; trusted proxies have no limit of their own",
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
        help: "How long to serve on after the signal to stop, not ready any more, until balancers have noticed; 5s to 10s behind one",
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
        help: "Memory for what clients send that has to be in memory as a whole: JSON, records that are checked, parts of uploads of \
               unknown length, decoders; each caller can hold half of it, and what finds none waits",
        is_secret: false,
        apply: |config, text| {
            config.request_memory_bytes = size(text, REQUEST_MEMORY_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_size(config.request_memory_bytes)),
    },
];
