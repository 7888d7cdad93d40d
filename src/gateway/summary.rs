//! The first log line: version, address and backend.

use std::{net::SocketAddr, path::Path};

use crate::{
    config::{Config, LeaderSetting},
    server::Tls,
};

use super::reload::public_url;

/// The console's place below the public URL.
const CONSOLE: &str = "/console/";

/// Description of the object store if no setting names it. The resolved address is logged later.
#[cfg(feature = "s3")]
const BY_ENVIRONMENT: &str = "the endpoint that the AWS environment names, else AWS";

/// Describes the backend: the bucket and its location, or the data folder.
pub(super) fn backend(config: &Config) -> String {
    #[cfg(feature = "s3")]
    if config.has_bucket() {
        let origin = config.s3.endpoint.as_ref().map_or_else(|| BY_ENVIRONMENT.to_owned(), ToString::to_string);
        let below = if config.s3.prefix.is_empty() { String::new() } else { format!(", below {}", config.s3.prefix) };
        return format!("the bucket {} at {origin}{below}", config.s3.bucket);
    }
    let path = std::path::absolute(&config.data);
    format!("the data folder {}", path.as_deref().unwrap_or(Path::new(&config.data)).display())
}

/// Returns the address of the console as clients reach it.
pub(super) fn console(config: &Config, address: SocketAddr, is_encrypted: bool) -> String {
    format!("{}{CONSOLE}", public_url(config, address, is_encrypted))
}

/// Logs the gateway that is about to run. The mode is that of the configuration: an object store with conditional
/// writes needs no leader.
pub(super) fn log(config: &Config, address: SocketAddr, tls: Option<&Tls>) {
    let mode = match &config.leader {
        _ if !config.has_bucket() => "standalone".to_owned(),
        None => "peer".to_owned(),
        Some(LeaderSetting::ThisGateway) => "leader".to_owned(),
        Some(LeaderSetting::OtherGateway(leader)) => format!("follower of {leader}"),
    };
    let is_encrypted = tls.is_some();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        backend = backend(config),
        mode,
        listen = %address,
        public_url = public_url(config, address, is_encrypted),
        tls = if is_encrypted { "on" } else { "off" },
        console = console(config, address, is_encrypted),
        "starting Larder"
    );
}
