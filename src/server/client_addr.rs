//! The source of a request: the peer of its connection, or the client that trusted proxies name.
//!
//! Of the conventions for that, one is understood: `X-Forwarded-For`, `-Proto` and `-Host`, which all proxies can
//! write. With two conventions a client could use the one that its proxy does not replace; so `Forwarded` (RFC 7239) is
//! ignored.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use http::{HeaderMap, HeaderName, Request, Version, header};

/// Addresses that a request passed; each proxy appends one.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The scheme of the client's request.
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The host of the client's request.
pub const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Maximum length of a chain of proxies that is considered.
const MAX_HOPS: usize = 32;

/// The source of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientAddr {
    /// Address of the sender: the first address, from our end, that is no trusted proxy.
    pub ip: Option<IpAddr>,
    /// Origin of the client's request, as a trusted proxy reports it: scheme, host and perhaps a port.
    pub origin: Option<Arc<str>>,
}

impl ClientAddr {
    /// Returns the source of a request with these headers and `peer` at the other end of its connection. `scheme` is
    /// the one that this server speaks.
    pub(super) fn from_request(
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        trusted: &TrustedProxies,
        scheme: &'static str,
    ) -> Self {
        let peer = peer.map(|peer| peer.to_canonical());
        match peer {
            Some(proxy) if trusted.contains(proxy) => {
                Self { ip: Some(client(proxy, headers, trusted)), origin: origin(headers, scheme).map(Arc::from) }
            }
            Some(_) | None => Self { ip: peer, origin: None },
        }
    }
}

/// Returns the first address, from our end, that is no trusted proxy. An unreadable one ends the search: only the proxy
/// that wrote it is known.
fn client(proxy: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let mut known = proxy;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.take(MAX_HOPS) {
        let Some(ip) = std::str::from_utf8(hop).ok().and_then(|hop| address(hop.trim())) else { break };
        known = ip;
        if !trusted.contains(ip) {
            break;
        }
    }
    known
}

/// Parses an address as proxies write it: bare, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = |text: &str| text.parse::<IpAddr>().ok();
    let bracketed = |text: &str| text.strip_prefix('[')?.split_once(']')?.0.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = |text: &str| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare(text).or_else(|| with_port(text)).or_else(|| bracketed(text)).map(|ip| ip.to_canonical())
}

/// Returns the origin of the client's request. A proxy that reports only the scheme has most likely left `Host`
/// unchanged.
fn origin(headers: &HeaderMap, scheme: &'static str) -> Option<String> {
    let (proto, host) = (last(headers, &FORWARDED_PROTO), last(headers, &FORWARDED_HOST));
    let scheme = match proto {
        Some("https") => "https",
        Some("http") => "http",
        None if host.is_some() => scheme,
        Some(_) | None => return None,
    };
    let host = host.or_else(|| last(headers, &header::HOST))?;
    is_host(host).then(|| format!("{scheme}://{host}"))
}

/// Returns whether the request names its host exactly once and legibly. HTTP/1.0 may omit it. (RFC 9112, 3.2)
pub(super) fn has_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    match (first, second) {
        (None, _) => request.version() < Version::HTTP_11,
        // An empty host is for a target without an authority.
        (Some(host), None) => host.is_empty() || host.to_str().is_ok_and(|host| is_host(host.trim())),
        (Some(_), Some(_)) => false,
    }
}

/// Returns whether this is a host, by name or address, perhaps with a port, without characters of other meaning in a
/// link.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address.parse::<Ipv6Addr>().is_ok(), None),
        Some((address, rest)) => {
            (address.parse::<Ipv6Addr>().is_ok(), Some(rest.strip_prefix(':').unwrap_or_default()))
        }
        None => {
            let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            (is_name && !name.is_empty(), port)
        }
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    host && port.is_none_or(is_port)
}

/// Returns the value that the last proxy wrote into a field.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim).filter(|value| !value.is_empty())
}

/// Networks whose proxies are trusted to name the source of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// Addresses with a common prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text is no list of networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or a network")]
pub struct InvalidTrustedProxies(String);

impl TrustedProxies {
    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether an address is in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differing >= u32::from(self.bits)
    }
}

impl FromStr for TrustedProxies {
    type Err = InvalidTrustedProxies;

    fn from_str(text: &str) -> Result<Self, InvalidTrustedProxies> {
        text.split(',').map(|one| one.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Network {
    type Err = InvalidTrustedProxies;

    fn from_str(text: &str) -> Result<Self, InvalidTrustedProxies> {
        let invalid = || InvalidTrustedProxies(text.to_owned());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().map_err(|_| invalid())?,
            Some(_) => return Err(invalid()),
        };
        if bits > most {
            return Err(invalid());
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, Network { address, bits }) in self.0.iter().enumerate() {
            write!(f, "{}{address}/{bits}", if position == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn networks() -> TrustedProxies {
        "10.0.0.0/8, 127.0.0.1, fd00::/8".parse().expect("networks")
    }

    fn source(peer: &str, lines: &[(&HeaderName, &str)]) -> ClientAddr {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        ClientAddr::from_request(Some(peer.parse().expect("an address")), &headers, &networks(), "http")
    }

    fn ip(peer: &str, lines: &[&str]) -> String {
        let name = FORWARDED_FOR;
        let lines: Vec<_> = lines.iter().map(|line| (&name, *line)).collect();
        source(peer, &lines).ip.expect("one is known").to_string()
    }

    #[test]
    fn networks_are_read_and_shown() {
        assert_eq!(networks().to_string(), "10.0.0.0/8, 127.0.0.1/32, fd00::/8");
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "here",
            "10.0.0.1,",
            "::/129",
            "10.0.0.0/8/8",
        ] {
            assert!(bad.parse::<TrustedProxies>().is_err(), "{bad}");
        }
        let all: TrustedProxies = "0.0.0.0/0".parse().expect("a network");
        assert!(all.contains("203.0.113.9".parse().expect("an address")));
        assert!(!all.contains("2001:db8::1".parse().expect("an address")));
    }

    #[test]
    fn of_a_trusted_proxy_the_rightmost_address_that_is_not_trusted_is_the_client() {
        assert_eq!(ip("10.1.1.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(ip("::ffff:10.1.1.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(ip("10.1.1.1", &["6.6.6.6, 203.0.113.9, 10.2.2.2"]), "203.0.113.9");
        assert_eq!(ip("10.1.1.1", &["6.6.6.6", "203.0.113.9", "10.2.2.2 ,10.3.3.3"]), "203.0.113.9");
        assert_eq!(ip("10.1.1.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(ip("10.1.1.1", &["[2001:db8::7]:1"]), "2001:db8::7");
        assert_eq!(ip("10.1.1.1", &["[2001:db8::7]"]), "2001:db8::7");
        assert_eq!(ip("fd00::1", &["2001:db8::7"]), "2001:db8::7");
    }

    #[test]
    fn an_unreadable_hop_ends_the_chain_of_trusted_proxies() {
        assert_eq!(ip("10.1.1.1", &[]), "10.1.1.1");
        assert_eq!(ip("10.1.1.1", &["203.0.113.9, unknown"]), "10.1.1.1");
        assert_eq!(ip("10.1.1.1", &["203.0.113.9, nonsense, 10.2.2.2"]), "10.2.2.2");
        assert_eq!(ip("10.1.1.1", &["10.3.3.3, 10.2.2.2"]), "10.3.3.3");
        assert_eq!(ip("203.0.113.1", &["6.6.6.6"]), "203.0.113.1");
    }

    #[test]
    fn the_origin_is_what_a_trusted_proxy_says() {
        let origin =
            |peer: &str, lines: &[(&HeaderName, &str)]| source(peer, lines).origin.map(|text| text.to_string());
        let [proto, host, own] = &[FORWARDED_PROTO, FORWARDED_HOST, header::HOST];
        let both = [(proto, "https"), (host, "larder.example"), (own, "inside:1")];
        assert_eq!(origin("10.1.1.1", &both).as_deref(), Some("https://larder.example"));
        assert_eq!(origin("203.0.113.1", &both), None);
        assert_eq!(
            origin("10.1.1.1", &[(proto, "https"), (own, "a.example:81")]).as_deref(),
            Some("https://a.example:81")
        );
        assert_eq!(origin("10.1.1.1", &[(host, "evil, b.example")]).as_deref(), Some("http://b.example"));
        assert_eq!(origin("10.1.1.1", &[(own, "a.example")]), None);
        for good in ["a", "a.b-c_d:65535", "10.0.0.1:1", "[::1]", "[2001:db8::1]:443"] {
            let expected = format!("https://{good}");
            assert_eq!(origin("10.1.1.1", &[(proto, "https"), (host, good)]), Some(expected));
        }
        for bad in [
            "a/b", "u@a", "", "a b", "a\"b", "<a>", "a:port", "a:", "a:65536", "[::1", "[::g]", "[::1]x", "::1",
            "http://a",
        ] {
            assert_eq!(origin("10.1.1.1", &[(proto, "https"), (host, bad)]), None, "{bad}");
        }
        assert_eq!(origin("10.1.1.1", &[(proto, "javascript"), (host, "a")]), None);
    }

    proptest! {
        #[test]
        fn headers_of_untrusted_peers_are_ignored(value in "[ -~]{0,60}", peer in any::<u32>()) {
            let peer = IpAddr::from(peer.to_be_bytes());
            prop_assume!(!networks().contains(peer));
            let mut headers = HeaderMap::new();
            for name in [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST] {
                headers.append(name, HeaderValue::from_str(&value).expect("a value"));
            }
            let found = ClientAddr::from_request(Some(peer), &headers, &networks(), "https");
            prop_assert_eq!(found, ClientAddr { ip: Some(peer), origin: None });
        }

        #[test]
        fn a_client_cannot_hide_behind_what_it_writes_itself(written in "[ -~]{0,60}", client in any::<u32>(), hops in 0_usize..5) {
            let client = IpAddr::from(client.to_be_bytes());
            prop_assume!(!networks().contains(client));
            let mut line = format!("{written}, {client}");
            let proxies: Vec<_> = (0..hops).map(|hop| format!(", 10.0.0.{hop}")).collect();
            line.push_str(&proxies.concat());
            prop_assert_eq!(ip("127.0.0.1", &[&line]), client.to_string());
        }

        #[test]
        fn whatever_a_header_holds_an_origin_is_one(proto in "(http|https|[ -~]{0,8})", host in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut headers = HeaderMap::new();
            headers.append(FORWARDED_PROTO, HeaderValue::from_str(&proto).expect("a value"));
            let Ok(host) = HeaderValue::from_bytes(&host) else { return Ok(()) };
            headers.append(FORWARDED_HOST, host);
            let found = ClientAddr::from_request(Some(IpAddr::from([127, 0, 0, 1])), &headers, &networks(), "http");
            if let Some(origin) = found.origin {
                let uri: http::Uri = origin.parse().expect("an origin");
                prop_assert_eq!(uri.path(), "/");
                prop_assert!(uri.authority().is_some() && uri.query().is_none());
                prop_assert!(!origin.contains(['"', '<', ' ', '\\']));
            }
        }

        #[test]
        fn networks_come_back_as_they_are_shown(address in any::<u128>(), is_long in any::<bool>(), bits in 0_u8..=32) {
            let address = if is_long { IpAddr::from(Ipv6Addr::from_bits(address)) } else { IpAddr::from([1, 2, 3, address.to_be_bytes()[0]]) };
            let networks: TrustedProxies = format!("{address}/{bits}").parse().expect("a network");
            prop_assert_eq!(networks.to_string().parse::<TrustedProxies>().expect("networks"), networks.clone());
            prop_assert!(networks.contains(address));
        }
    }
}
