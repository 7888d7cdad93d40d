//! The address of a server.

use std::{fmt, str::FromStr, sync::Arc};

/// A scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// True if the connection is encrypted.
    pub is_tls: bool,
    /// The host: a name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// Returns the same server with another host.
    #[must_use]
    pub fn at(&self, host: &str) -> Self {
        Self { host: Arc::from(host), ..self.clone() }
    }

    /// Returns the header `Host`: without the port if it is the scheme's default.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        if self.port == default_port(self.is_tls) { host } else { format!("{host}:{}", self.port) }
    }

    /// Returns host and port, even if the port is the scheme's default.
    pub fn authority_with_port(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        format!("{host}:{}", self.port)
    }

    /// Returns whether the host is an address and not a name.
    pub fn is_address(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }
}

/// A text that is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an origin; write it like https://s3.example.com or http://10.0.0.5:9000, without a path")]
pub struct InvalidEndpoint;

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let uri: http::Uri = text.parse().map_err(|_| InvalidEndpoint)?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(InvalidEndpoint),
        };
        let authority = uri.authority().ok_or(InvalidEndpoint)?;
        // Brackets are only for IPv6 addresses, and without a zone.
        let bracketed = authority.host().strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(authority.host()).to_ascii_lowercase();
        let is_host = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        };
        if !matches!(uri.path(), "" | "/")
            || uri.query().is_some()
            || authority.as_str().contains('@')
            || host.is_empty()
            || !is_host
        {
            return Err(InvalidEndpoint);
        }
        Ok(Self { is_tls, host: Arc::from(host), port: authority.port_u16().unwrap_or(default_port(is_tls)) })
    }
}

fn default_port(is_tls: bool) -> u16 {
    if is_tls { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_taken_apart_and_put_together() {
        for (text, authority) in [
            ("https://s3.example.com", "s3.example.com"),
            ("https://s3.example.com:443/", "s3.example.com"),
            ("http://10.0.0.5:9000", "10.0.0.5:9000"),
            ("http://[::1]:9000", "[::1]:9000"),
        ] {
            assert_eq!(text.parse::<Endpoint>().expect("an origin").authority(), authority);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "s3.example.com",
            "ftp://a",
            "https://a/path",
            "https://user@a",
            "https://a?x",
            "http://",
            "http://[f1%25eth0]",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
