//! HTTPS: the certificate with its validity, its key, and replacing both while connections are open.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, CertificateError, Error, RootCertStore, ServerConfig,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer, ServerName, UnixTime,
            pem::{self, PemObject},
        },
    },
    server::TlsStream,
};

use crate::clock::Timestamp;

/// The protocol inside TLS (ALPN).
const PROTOCOL: &[u8] = b"http/1.1";

/// The first byte of a TLS connection: the type of a record with a handshake in it (RFC 8446, 5.1).
const TLS_HANDSHAKE_RECORD: u8 = 22;

/// Paths of the certificate and its key: both or neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// A PEM file with the certificate, followed by the intermediate ones.
    pub certificate: Option<PathBuf>,
    /// A PEM file with the certificate's key.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// Returns whether HTTPS is configured, even if only half.
    pub fn is_any(&self) -> bool {
        self.certificate.is_some() || self.key.is_some()
    }
}

/// These files do not allow HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Only one of the two paths is set.
    #[error("LARDER_TLS_CERT and LARDER_TLS_KEY must be set both, or neither")]
    Half,
    /// A file cannot be read.
    #[error("cannot read {} of {setting}", path.display())]
    Unreadable {
        /// The setting with its path.
        setting: &'static str,
        /// The path.
        path: PathBuf,
        /// Error of the system.
        #[source]
        cause: io::Error,
    },
    /// A file has the wrong content.
    #[error("{} of {setting} {problem}", path.display())]
    Unusable {
        /// The setting with its path.
        setting: &'static str,
        /// The path.
        path: PathBuf,
        /// The problem.
        problem: &'static str,
    },
    /// Certificate and key do not match, or cannot be used.
    #[error("the certificate in {} cannot be used with the key in {}", certificate.display(), key.display())]
    Mismatch {
        /// Path of the certificate.
        certificate: PathBuf,
        /// Path of the key.
        key: PathBuf,
        /// The reason.
        #[source]
        cause: rustls::Error,
    },
}

/// The certificate and key of new connections.
pub struct Tls {
    current: ArcSwap<Current>,
}

/// Certificate and key for new connections.
struct Current {
    config: Arc<ServerConfig>,
    validity: Option<Validity>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files; `None` if none are configured.
    pub fn load(files: &TlsFiles) -> Result<Option<Self>, TlsError> {
        let (certificate, key) = match files {
            TlsFiles { certificate: None, key: None } => return Ok(None),
            TlsFiles { certificate: Some(certificate), key: Some(key) } => (certificate, key),
            TlsFiles { .. } => return Err(TlsError::Half),
        };
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| unusable("LARDER_TLS_CERT", certificate, error))?;
        if chain.is_empty() {
            return Err(unusable("LARDER_TLS_CERT", certificate, pem::Error::NoItemsFound));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("LARDER_TLS_KEY", key, error))?;
        let validity = Validity::from_chain(&chain);
        let config = config(chain, private).map_err(|cause| TlsError::Mismatch {
            certificate: certificate.clone(),
            key: key.clone(),
            cause,
        })?;
        let current = Current { config: Arc::new(config), validity };
        Ok(Some(Self { current: ArcSwap::from_pointee(current) }))
    }

    /// Gives new connections the certificate of `other`; open ones keep theirs.
    pub fn replace(&self, other: Self) {
        self.current.store(other.current.into_inner());
    }

    /// Returns the validity of the certificate, as far as it can be read.
    pub fn validity(&self) -> Option<Validity> {
        self.current.load().validity
    }

    /// Performs the handshake over `stream`.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(Arc::clone(&self.current.load().config)).accept(stream).await
    }
}

/// Returns whether the client's first bytes, which stay unread, are TLS.
pub(super) async fn is_tls_handshake(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first == [TLS_HANDSHAKE_RECORD]),
    }
}

fn config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // Session tickets: clients that return within hours skip the costly part of the handshake, and the server keeps no
    // state.
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}

/// Errors of this parser quote nothing of the file.
fn unusable(setting: &'static str, path: &std::path::Path, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    let problem = match error {
        pem::Error::Io(cause) => return TlsError::Unreadable { setting, path, cause },
        pem::Error::NoItemsFound if setting == "LARDER_TLS_KEY" => {
            "has no key in it; it begins with -----BEGIN PRIVATE KEY----- (one with a passphrase cannot be used)"
        }
        pem::Error::NoItemsFound => "has no certificate in it; one begins with -----BEGIN CERTIFICATE-----",
        _ => "is not a whole PEM file",
    };
    TlsError::Unusable { setting, path, problem }
}

/// Time before its expiry at which a certificate causes a warning, unless it is short-lived.
const EXPIRY_WARNING_TIME: Duration = Duration::from_hours(14 * 24);

/// Last part of its lifetime in which a short-lived certificate causes a warning.
const SHORT_LIVED_DIVISOR: u32 = 3;

/// Seconds since 1970 after which no certificate is valid: their years have four digits.
const FAR_FUTURE_SECS: u64 = 300_000_000_000;

/// The time in which all certificates of a chain are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Latest start of any of them.
    pub from: Timestamp,
    /// Earliest end of any of them.
    pub until: Timestamp,
}

impl Validity {
    /// Reads the validity of a chain; `None` if it cannot be read.
    pub(super) fn from_chain(chain: &[CertificateDer<'static>]) -> Option<Self> {
        let mut whole: Option<Self> = None;
        for certificate in chain {
            let (from, until) = (limit_at(certificate, 0)?, limit_at(certificate, FAR_FUTURE_SECS)?);
            let before = whole.unwrap_or(Self { from, until });
            whole = Some(Self { from: before.from.max(from), until: before.until.min(until) });
        }
        whole
    }

    /// Returns the warning about the certificate at `now`, if there is one.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let Self { from, until } = self;
        let soon = EXPIRY_WARNING_TIME.min(until.since(*from) / SHORT_LIVED_DIVISOR);
        if now >= *until {
            Some(format!("the certificate of LARDER_TLS_CERT has expired at {until}, and clients reject it: renew it"))
        } else if now < *from {
            Some(format!(
                "the certificate of LARDER_TLS_CERT is valid from {from} on only, and clients reject it until then"
            ))
        } else if until.since(now) < soon {
            Some(format!("the certificate of LARDER_TLS_CERT expires at {until}: renew it"))
        } else {
            None
        }
    }
}

/// Returns a limit of a certificate's validity, as the verifier of clients reports it for a time before or after all of
/// it. The verifier checks the dates first.
fn limit_at(certificate: &CertificateDer<'static>, seconds: u64) -> Option<Timestamp> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).ok()?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let limit = match verifier.verify_server_cert(certificate, &[], &name, &[], time) {
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => not_before,
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => not_after,
        Ok(_) | Err(_) => return None,
    };
    Some(Timestamp::from_millis(i64::try_from(limit.as_secs().saturating_mul(1000)).ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_wrong_with_the_files_is_said_of_the_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("it is written");
            path
        };
        let certificate = file("cert.pem", &one.cert.pem());
        let key = file("key.pem", &one.signing_key.serialize_pem());
        let wrong = file("other.pem", &other.signing_key.serialize_pem());
        let cut = file("cut.pem", &one.signing_key.serialize_pem()[..60]);
        let absent = folder.path().join("absent.pem");
        let of = |certificate: Option<&PathBuf>, key: Option<&PathBuf>| {
            Tls::load(&TlsFiles { certificate: certificate.cloned(), key: key.cloned() }).map(|tls| tls.is_some())
        };
        assert!(matches!(of(None, None), Ok(false)));
        assert!(matches!(of(Some(&certificate), Some(&key)), Ok(true)));
        assert!(matches!(of(Some(&certificate), None), Err(TlsError::Half)));
        assert!(matches!(of(None, Some(&key)), Err(TlsError::Half)));
        assert!(matches!(of(Some(&absent), Some(&key)), Err(TlsError::Unreadable { setting: "LARDER_TLS_CERT", .. })));
        assert!(matches!(of(Some(&certificate), Some(&wrong)), Err(TlsError::Mismatch { .. })));
        for (certificate, key, said) in [
            (&key, &key, "key.pem of LARDER_TLS_CERT has no certificate"),
            (&certificate, &certificate, "cert.pem of LARDER_TLS_KEY has no key"),
            (&certificate, &cut, "cut.pem of LARDER_TLS_KEY is not a whole PEM file"),
        ] {
            let error = of(Some(certificate), Some(key)).expect_err("it is wrong").to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_certificate_is_warned_of_before_it_is_valid_in_its_last_days_and_afterwards() {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        let day = |days: i64| Timestamp::from_millis(days * DAY);
        let year = Validity { from: day(100), until: day(465) };
        let week = Validity { from: day(100), until: day(107) };
        for (validity, now, said) in [
            (year, 99, Some("is valid from")),
            (year, 100, None),
            (year, 450, None),
            (year, 452, Some("expires at")),
            (year, 465, Some("has expired")),
            (week, 104, None),
            (week, 105, Some("expires at")),
        ] {
            let warning = validity.warning(day(now));
            assert_eq!(warning.is_some(), said.is_some(), "{now}: {warning:?}");
            assert!(warning.unwrap_or_default().contains(said.unwrap_or_default()), "{now}");
        }
    }

    #[test]
    fn what_ends_first_in_a_chain_ends_it() {
        let certificate = |from: i32, until: i32| {
            let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
            let key = rcgen::KeyPair::generate().expect("a key");
            params.self_signed(&key).expect("a certificate").der().clone()
        };
        let mut chain = [certificate(2001, 2040), certificate(2002, 2031)];
        for _ in 0..chain.len() {
            let validity = Validity::from_chain(&chain).expect("it can be read");
            assert_eq!(validity.from.to_string(), "2002-01-01T00:00:00.000Z");
            assert_eq!(validity.until.to_string(), "2031-01-01T00:00:00.000Z");
            chain.reverse();
        }
        assert_eq!(Validity::from_chain(&[]), None);
    }
}
