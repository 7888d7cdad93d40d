//! HTTP client for other servers, here and in commands: blocking, over TLS where the URL says so.

use std::{fs, path::Path, time::Duration};

use ureq::{
    Agent,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::error::{Error, Result};

/// Timeout for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Timeout for a peer that makes no progress.
const STALL_TIMEOUT: Duration = Duration::from_mins(2);

/// Maximum number of idle connections to one server; as many as there are concurrent requests.
const MAX_IDLE_CONNECTIONS: usize = 8;

/// Authentication of an `https` server.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// By a certificate authority that browsers trust.
    Browsers,
    /// By one of the certificate authorities in this file.
    File(&'a Path),
    /// By its address: it listens on an address of this machine that its own configuration names, where no other server
    /// can take its place. Its certificate has its public name.
    OwnMachine,
}

/// Returns an HTTP client. With `is_near` it ignores any proxy of the environment.
pub fn agent(trust: Trust<'_>, is_near: bool) -> Result<Agent> {
    let mut tls = TlsConfig::builder().disable_verification(matches!(trust, Trust::OwnMachine));
    if let Trust::File(path) = trust {
        let pem = fs::read(path).map_err(Error::of(path))?;
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                Ok(_) | Err(_) => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(Error::Unusable(format!("{} has no certificate in it", path.display())));
        }
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
    }
    let config = Agent::config_builder();
    let config = if is_near { config.proxy(None) } else { config };
    let config = config
        .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_per_read(Some(STALL_TIMEOUT))
        .timeout_per_write(Some(STALL_TIMEOUT))
        .http_status_as_error(false)
        .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.build())
        .build();
    Ok(config.into())
}
