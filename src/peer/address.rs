//! Where another gateway is.

use std::fmt;

use http::{HeaderValue, Uri, uri::Scheme};

/// The port of `http`.
const HTTP_PORT: u16 = 80;

/// Where another gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    host: String,
    port: u16,
    authority: HeaderValue,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority.to_str().unwrap_or_default())
    }
}

/// The text is no address of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPeerAddress {
    /// It is no origin.
    #[error("is not an origin; write it like http://10.0.0.5:8011, without a path")]
    NoOrigin,
    /// It asks for encryption.
    #[error("asks for HTTPS, which gateways do not speak among themselves; give the keeper's http:// address")]
    Encrypted,
}

impl PeerAddress {
    /// The address that an origin names: `http://host:port`.
    pub fn parse(origin: &str) -> Result<Self, InvalidPeerAddress> {
        let uri: Uri = origin.parse().map_err(|_| InvalidPeerAddress::NoOrigin)?;
        let authority = uri
            .authority()
            .filter(|authority| !authority.as_str().contains('@'))
            .ok_or(InvalidPeerAddress::NoOrigin)?;
        if authority.host().is_empty() || uri.path() != "/" || origin.contains(['?', '#']) {
            return Err(InvalidPeerAddress::NoOrigin);
        }
        if uri.scheme() == Some(&Scheme::HTTPS) {
            return Err(InvalidPeerAddress::Encrypted);
        }
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(InvalidPeerAddress::NoOrigin);
        }
        // The brackets of an IPv6 address belong to the URI alone.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(HTTP_PORT);
        let authority = HeaderValue::from_str(authority.as_str()).map_err(|_| InvalidPeerAddress::NoOrigin)?;
        Ok(Self { host, port, authority })
    }

    /// What is connected to: a name or an address, and a port.
    pub fn target(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// What requests name in their `Host`.
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
            [("http://keeper", "keeper", 80), ("http://10.0.0.5:8011/", "10.0.0.5", 8011), ("http://[::1]:1", "::1", 1)]
        {
            assert_eq!(PeerAddress::parse(origin).expect(origin).target(), (host, port));
        }
        for bad in
            ["", "keeper", "keeper:8011", "ftp://keeper", "http://keeper/path", "http://u:p@keeper", "http://k?a"]
        {
            assert!(matches!(PeerAddress::parse(bad), Err(InvalidPeerAddress::NoOrigin)), "{bad}");
        }
        assert!(matches!(PeerAddress::parse("https://keeper"), Err(InvalidPeerAddress::Encrypted)));
    }
}
