//! Addresses of other servers: gateways and upstreams.

use std::fmt;

use http::{HeaderValue, Uri, uri::Scheme};

/// The port of `http`.
const HTTP_PORT: u16 = 80;

/// The port of `https`.
const HTTPS_PORT: u16 = 443;

/// The address of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    host: String,
    port: u16,
    authority: HeaderValue,
    is_encrypted: bool,
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { Scheme::HTTPS } else { Scheme::HTTP };
        write!(f, "{scheme}://{}", self.authority.to_str().unwrap_or_default())
    }
}

/// An invalid address of another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServerAddress {
    /// The text is no origin.
    #[error("is not an origin; write it like http://10.0.0.5:8011, without a path")]
    NoOrigin,
    /// The address of a gateway asks for TLS.
    #[error("asks for HTTPS, which gateways do not speak among themselves; give the leader's http:// address")]
    Encrypted,
    /// The address asks for TLS, which this build lacks.
    #[error("asks for HTTPS, which this build does not speak: it was built without the feature s3")]
    BuiltWithoutTls,
}

impl ServerAddress {
    /// Parses the origin of a gateway: `http://host:port`.
    pub fn parse(origin: &str) -> Result<Self, InvalidServerAddress> {
        let address = Self::parse_any_scheme(origin)?;
        if address.is_encrypted { Err(InvalidServerAddress::Encrypted) } else { Ok(address) }
    }

    /// Parses the origin of an upstream: `https://host` or `http://host:port`.
    pub fn parse_upstream(origin: &str) -> Result<Self, InvalidServerAddress> {
        let address = Self::parse_any_scheme(origin)?;
        if address.is_encrypted && !cfg!(feature = "s3") {
            return Err(InvalidServerAddress::BuiltWithoutTls);
        }
        Ok(address)
    }

    fn parse_any_scheme(origin: &str) -> Result<Self, InvalidServerAddress> {
        let uri: Uri = origin.parse().map_err(|_| InvalidServerAddress::NoOrigin)?;
        let authority = uri
            .authority()
            .filter(|authority| !authority.as_str().contains('@'))
            .ok_or(InvalidServerAddress::NoOrigin)?;
        if authority.host().is_empty() || uri.path() != "/" || origin.contains(['?', '#']) {
            return Err(InvalidServerAddress::NoOrigin);
        }
        let is_encrypted = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(_) | None => return Err(InvalidServerAddress::NoOrigin),
        };
        // The brackets of an IPv6 address are part of the URI only.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if is_encrypted { HTTPS_PORT } else { HTTP_PORT });
        let authority = HeaderValue::from_str(authority.as_str()).map_err(|_| InvalidServerAddress::NoOrigin)?;
        Ok(Self { host, port, authority, is_encrypted })
    }

    /// Returns the name or address, and the port, to connect to.
    pub fn target(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Returns host and port, even if the port is the scheme's default.
    pub fn authority_with_port(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Returns the absolute URL of a path on that server, as proxies require it.
    pub fn url(&self, path: &Uri) -> Uri {
        let mut parts = path.clone().into_parts();
        parts.scheme = Some(if self.is_encrypted { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = self.authority.to_str().ok().and_then(|authority| authority.parse().ok());
        Uri::from_parts(parts).unwrap_or_else(|_| path.clone())
    }

    /// Returns whether connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Returns the `Host` of requests.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_an_address_and_https_is_refused_by_name() {
        for (origin, host, port) in
            [("http://leader", "leader", 80), ("http://10.0.0.5:8011/", "10.0.0.5", 8011), ("http://[::1]:1", "::1", 1)]
        {
            assert_eq!(ServerAddress::parse(origin).expect(origin).target(), (host, port));
        }
        for bad in
            ["", "leader", "leader:8011", "ftp://leader", "http://leader/path", "http://u:p@leader", "http://k?a"]
        {
            assert!(matches!(ServerAddress::parse(bad), Err(InvalidServerAddress::NoOrigin)), "{bad}");
        }
        assert!(matches!(ServerAddress::parse("https://leader"), Err(InvalidServerAddress::Encrypted)));
    }

    #[test]
    fn an_upstream_may_be_encrypted_where_the_build_can() {
        let plain = ServerAddress::parse_upstream("http://127.0.0.1:8011").expect("an address");
        assert_eq!((plain.target(), plain.is_encrypted()), (("127.0.0.1", 8011), false));
        match ServerAddress::parse_upstream("https://upstream.example") {
            Ok(address) if cfg!(feature = "s3") => {
                assert_eq!((address.target(), address.is_encrypted()), (("upstream.example", 443), true));
                assert_eq!(address.to_string(), "https://upstream.example");
            }
            Err(InvalidServerAddress::BuiltWithoutTls) if !cfg!(feature = "s3") => {}
            other => panic!("{other:?}"),
        }
        assert!(matches!(ServerAddress::parse_upstream("https://a/v2"), Err(InvalidServerAddress::NoOrigin)));
    }
}
