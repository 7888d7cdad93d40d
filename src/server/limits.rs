//! Limits for clients, the share of all connections that one client may have, and the limit of open files.
//!
//! A client is an IPv4 address, or the first 64 bits of an IPv6 address: the smallest prefix that a network is given. A
//! trusted proxy brings many clients, and has no share. Connections beyond the share are rejected as they come. No open
//! one is closed in their place: an idle connection may be about to carry a request, which would be cut off, while a
//! rejected client is told when to retry.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{client_addr::TrustedProxies, tls::TlsFiles};

/// Default divisor of all connections for the share of one client: a quarter leaves room for others, and is still
/// thousands for a network behind one address.
const CLIENT_SHARE_DIVISOR: usize = 4;

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
    pub trusted_proxies: TrustedProxies,
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
            trusted_proxies: TrustedProxies::default(),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(25),
        }
    }
}

impl ServerOptions {
    /// Returns the maximum number of connections of one client.
    pub fn client_share(&self) -> usize {
        self.max_client_connections.unwrap_or(self.max_connections / CLIENT_SHARE_DIVISOR).max(1)
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

/// Prefix length, in bits, of the IPv6 network that one customer is given.
const IPV6_NETWORK_BITS: u32 = 64;

/// The open connections of each client.
#[derive(Debug, Clone, Default)]
pub(super) struct Shares(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection of a client, as long as it is open.
#[derive(Debug)]
pub(super) struct Share {
    client: IpAddr,
    shares: Shares,
}

impl Shares {
    /// Counts a connection from an address, unless its client has `most` already.
    pub(super) fn try_acquire(&self, address: IpAddr, most: usize) -> Option<Share> {
        let client = client(address);
        let mut counts = self.0.lock();
        let count = counts.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Share { client, shares: self.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.shares.0.lock();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> IPV6_NETWORK_BITS << IPV6_NETWORK_BITS).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Raises the soft limit of open files to the hard limit, and returns it. The usual 1,024 exists for old programs; a
/// server reaches it long before any other limit.
pub fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    // `None` means unlimited.
    current.unwrap_or(u64::MAX)
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

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_has_its_share_and_no_more_whatever_others_have() {
        let shares = Shares::default();
        let held: Vec<_> = (0..3).filter_map(|_| shares.try_acquire(address("203.0.113.9"), 3)).collect();
        assert_eq!(held.len(), 3);
        assert!(shares.try_acquire(address("203.0.113.9"), 3).is_none());
        assert!(shares.try_acquire(address("::ffff:203.0.113.9"), 3).is_none());
        assert!(shares.try_acquire(address("203.0.113.10"), 3).is_some());
        drop(held);
        assert!(shares.try_acquire(address("203.0.113.9"), 3).is_some());
        assert!(shares.0.lock().is_empty(), "what has ended is not remembered");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let shares = Shares::default();
        let _held = shares.try_acquire(address("2001:db8:0:1::1"), 1).expect("the first");
        assert!(shares.try_acquire(address("2001:db8:0:1:ffff:ffff:ffff:ffff"), 1).is_none());
        assert!(shares.try_acquire(address("2001:db8:0:2::1"), 1).is_some());
    }

    #[test]
    fn the_limit_is_never_lowered() {
        let before = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(raise_file_limit() >= before);
    }
}
