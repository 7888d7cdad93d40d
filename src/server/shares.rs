//! The share of all connections that one client may have, so that no client takes them all.
//!
//! A client is an IPv4 address, or the first 64 bits of an IPv6 address: the smallest prefix that a network is given. A
//! trusted proxy brings many clients, and has no share. Connections beyond the share are rejected as they come. No open
//! one is closed in their place: an idle connection may be about to carry a request, which would be cut off, while a
//! rejected client is told when to retry.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Prefix length, in bits, of the IPv6 network that one customer is given.
const HOST_BITS: u32 = 64;

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
    pub(super) fn take(&self, address: IpAddr, most: usize) -> Option<Share> {
        let client = client(address);
        let mut counts = self.counts();
        let count = counts.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Share { client, shares: self.clone() })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.shares.counts();
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
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> HOST_BITS << HOST_BITS).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_has_its_share_and_no_more_whatever_others_have() {
        let shares = Shares::default();
        let held: Vec<_> = (0..3).filter_map(|_| shares.take(address("203.0.113.9"), 3)).collect();
        assert_eq!(held.len(), 3);
        assert!(shares.take(address("203.0.113.9"), 3).is_none());
        assert!(shares.take(address("::ffff:203.0.113.9"), 3).is_none());
        assert!(shares.take(address("203.0.113.10"), 3).is_some());
        drop(held);
        assert!(shares.take(address("203.0.113.9"), 3).is_some());
        assert!(shares.counts().is_empty(), "what has ended is not remembered");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let shares = Shares::default();
        let _held = shares.take(address("2001:db8:0:1::1"), 1).expect("the first");
        assert!(shares.take(address("2001:db8:0:1:ffff:ffff:ffff:ffff"), 1).is_none());
        assert!(shares.take(address("2001:db8:0:2::1"), 1).is_some());
    }
}
