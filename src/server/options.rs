//! Limits for clients.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::{source::Networks, tls::TlsFiles};

/// Default divisor of all connections for the share of one client: a quarter leaves room for others, and is still
/// thousands for a network behind one address.
const CLIENT_PART: usize = 4;

/// Limits for clients, and the address of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// Address and port to listen on; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// Maximum number of open connections. A further one gets a 503 at once instead of waiting in silence behind
    /// connections that may be idle: clients can retry after a 503.
    pub max_connections: usize,
    /// Maximum number of connections of one client, which is an address or an IPv6 network; default: a quarter of all.
    /// Trusted proxies have only the limit for all.
    pub max_client_connections: Option<usize>,
    /// Maximum bytes of a request's line and headers together; more is a 431.
    pub max_header_bytes: usize,
    /// Timeout for the line and headers of a request, from their first byte (on a new connection: from its start).
    pub header_timeout: Duration,
    /// Timeout for a connection between requests. Longer than that of clients and load balancers (commonly 60 s), so
    /// that they close first and never send a request into a closing connection.
    pub idle_timeout: Duration,
    /// Timeout for a request or response body that makes no progress while the server waits for the client. A slow
    /// client that makes progress is never cut off.
    pub stall_timeout: Duration,
    /// Certificate and key for HTTPS; plain HTTP without them.
    pub tls: TlsFiles,
    /// Proxies that are trusted to name the source of a request.
    pub trusted_proxies: Networks,
    /// Time that serving continues after the drain signal, with responses that ask clients to close. Load balancers
    /// need it to notice.
    pub drain_delay: Duration,
    /// Timeout for requests in flight after that.
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
    /// Returns the maximum number of connections of one client.
    pub fn client_share(&self) -> usize {
        self.max_client_connections.unwrap_or(self.max_connections / CLIENT_PART).max(1)
    }
}

/// Returns the address at which this machine reaches a server that listens on `listen`: for all addresses, the
/// loopback.
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
