//! The validity of the HTTPS certificate.

use std::{sync::Arc, time::Duration};

use tokio_rustls::rustls::{
    CertificateError, Error, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::clock::Timestamp;

/// Time before its expiry at which a certificate causes a warning, unless it is short-lived.
const SOON: Duration = Duration::from_hours(14 * 24);

/// Last part of its lifetime in which a short-lived certificate causes a warning.
const LAST_PART: u32 = 3;

/// Seconds since 1970 after which no certificate is valid: their years have four digits.
const AFTER_ALL: u64 = 300_000_000_000;

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
    pub(super) fn of(chain: &[CertificateDer<'static>]) -> Option<Self> {
        let mut whole: Option<Self> = None;
        for certificate in chain {
            let (from, until) = (limit_at(certificate, 0)?, limit_at(certificate, AFTER_ALL)?);
            let before = whole.unwrap_or(Self { from, until });
            whole = Some(Self { from: before.from.max(from), until: before.until.min(until) });
        }
        whole
    }

    /// Returns the warning about the certificate at `now`, if there is one.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let Self { from, until } = self;
        let soon = SOON.min(until.since(*from) / LAST_PART);
        if now >= *until {
            Some(format!("the certificate of LARDER_TLS_CERT has expired at {until}, and clients refuse it: renew it"))
        } else if now < *from {
            Some(format!(
                "the certificate of LARDER_TLS_CERT is valid from {from} on only, and clients refuse it until then"
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
    use super::*;

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
            let validity = Validity::of(&chain).expect("it can be read");
            assert_eq!(validity.from.to_string(), "2002-01-01T00:00:00.000Z");
            assert_eq!(validity.until.to_string(), "2031-01-01T00:00:00.000Z");
            chain.reverse();
        }
        assert_eq!(Validity::of(&[]), None);
    }
}
