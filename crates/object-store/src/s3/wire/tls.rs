//! TLS root certificates.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::rustls::{
    ClientConfig, Error, InvalidMessage, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The trusted certificate authorities.
#[derive(Debug, Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
}

/// Reason why no certificates could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of certificates cannot be read.
    #[error("{path}: it cannot be read as certificates in PEM format: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// Reason.
        message: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] tokio_rustls::rustls::Error),
}

impl Trust {
    /// Loads the system's root certificates, and those in `file`.
    pub fn load(file: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        for error in system.errors {
            tracing::warn!(%error, "some of the certificates that this system trusts cannot be read");
        }
        if let Some(path) = file {
            let refuse = |message: String| TrustError::File { path: path.to_owned(), message };
            let mut count = 0;
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))? {
                let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
                roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
                count += 1;
            }
            if count == 0 {
                return Err(refuse("there are none in it".to_owned()));
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TrustError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }

    /// Returns the TLS connector.
    pub(super) fn connector(&self) -> tokio_rustls::TlsConnector {
        tokio_rustls::TlsConnector::from(Arc::clone(&self.config))
    }
}

/// Returns whether a handshake failed because the server's answer is not TLS.
pub(super) fn is_no_tls(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}

/// Returns the error for a host that no certificate can name.
pub(super) fn invalid_name() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the host is no name that a certificate can have")
}
