//! Encrypted connections to an upstream.
//!
//! Connections to an object store (`storage::s3`) have their own implementation, with certificates configured for it:
//! neither module knows the other.

use std::{error::Error, io, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// TLS configuration of connections to one host.
pub(super) struct TlsConfig {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Returns the configuration for `host`, whose certificate this system must trust.
    pub(super) fn for_host(host: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let name = ServerName::try_from(host.to_owned())?;
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        for error in system.errors {
            tracing::warn!(%error, "cannot read some trusted certificates of this system");
        }
        if roots.is_empty() {
            return Err("cannot verify HTTPS servers: this system has no trusted certificates".into());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Performs the handshake over `stream`.
    pub(super) async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}
