//! What asks servers, here and in commands: blocking, over TLS where their URL says so.

use std::{fs, path::Path, time::Duration};

use ureq::{
    Agent,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::error::{Error, Result};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the other side may do nothing.
const STALL_TIMEOUT: Duration = Duration::from_mins(2);

/// Most connections to one server that wait for their next request; as many as there are requests at the same time.
const MAX_IDLE_CONNECTIONS: usize = 8;

/// By what a server of `https` is known to be the one.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// An authority that browsers trust vouches for it.
    Browsers,
    /// One of the authorities in this file vouches for it.
    File(&'a Path),
    /// It listens on an address of this machine that its own configuration names, where nobody on the way can take its place; its
    /// certificate is for the name that others know it by.
    OwnMachine,
}

/// Asks servers. What is `near` is not asked through a proxy, whatever the environment says of one.
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
