//! What clients are held to.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::{source::Networks, tls::TlsFiles};

/// The part of all connections that one client may have, if nothing is said: with a quarter, others always get in, and a network behind
/// one address still has thousands.
const CLIENT_PART: usize = 4;

/// What clients are held to, and where they find the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// Address and port to listen on; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// The most connections served at once. Whoever comes then gets a 503 at once, rather than waiting in silence
    /// behind connections that may be idle: clients know how to come back from a 503.
    pub max_connections: usize,
    /// The most connections of one client, which is an address or a network of IPv6; a quarter of all if nothing is said. Trusted
    /// proxies have no limit but that of all.
    pub max_client_connections: Option<usize>,
    /// The most bytes of a request's line and headers together; more is a 431.
    pub max_header_bytes: usize,
    /// How long the line and headers of a request may take, from their first byte (on a fresh connection: from its
    /// beginning).
    pub header_timeout: Duration,
    /// How long a connection may stand between requests. Longer than clients and balancers keep theirs (60 s is
    /// common), so that they close first and never send a request into a closing connection.
    pub idle_timeout: Duration,
    /// How long a request's or reply's body may stand still, not a byte moving in either direction, while the server
    /// waits for the client. A client that is slow but moving is never cut off.
    pub stall_timeout: Duration,
    /// Where the certificate for HTTPS is; plain HTTP without one.
    pub tls: TlsFiles,
    /// Proxies that are believed about where requests come from.
    pub trusted_proxies: Networks,
    /// How long the server goes on as before, but for telling everybody to go elsewhere, once it was told to stop. Balancers need
    /// that time to notice.
    pub drain_delay: Duration,
    /// How long requests in flight may go on after that.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8011)),
            max_connections: 16_384,
            max_client_connections: None,
            max_header_bytes: 64 * 1024,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_mins(1),
            tls: TlsFiles::default(),
            trusted_proxies: Networks::default(),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(25),
        }
    }
}

impl ServerOptions {
    /// Returns the most connections of one client.
    pub fn client_share(&self) -> usize {
        self.max_client_connections.unwrap_or(self.max_connections / CLIENT_PART).max(1)
    }
}

/// Where this machine reaches a server that listens on `listen`: to listen on all addresses is to listen on the loopback,
/// too.
pub fn reachable_address(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_on_the_loopback() {
        let reached = |listen: &str| reachable_address(listen.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:8011"), "127.0.0.1:8011");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("10.0.0.5:1"), "10.0.0.5:1");
    }
}
