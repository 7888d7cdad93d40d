//! Connections to other servers: races the addresses of a name, and uses the proxy that the environment names.
//!
//! The module opens TCP connections. It knows neither TLS nor any HTTP beyond requests to a proxy, and keeps no
//! connection. `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name proxies. HTTPS uses a tunnel (`CONNECT`).
//! Plain HTTP is sent to the proxy itself, with the absolute URL in its request line.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{HeaderValue, Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::{
    client::proxy::matcher::{Intercept, Matcher},
    rt::TokioIo,
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// Delay before the next address is tried in parallel (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address of `host` that answers. The caller limits the time.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    race(alternated(lookup_host((host, port)).await?)).await
}

/// Connects to the address that answers first. Each attempt begins when the previous one has failed or after
/// [`ATTEMPT_DELAY`].
async fn race(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        let next = addresses.next();
        attempts.extend(next.map(attempt));
        let ended = match next {
            Some(_) => match timeout(ATTEMPT_DELAY, attempts.next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            },
            None => attempts.next().await,
        };
        match ended {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failure = error,
            None => return Err(failure),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what races the addresses")]
async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Requests are written whole; waiting for more bytes gains nothing.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Orders addresses so that the two families alternate, the system's preferred one first (RFC 8305, section 4).
fn alternated(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut counts = [0_usize; 2];
    let mut ranked: Vec<_> = addresses
        .map(|address| {
            let count = &mut counts[usize::from(address.is_ipv6())];
            *count += 1;
            (*count, address)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, address)| address).collect()
}

/// The port of a proxy whose URL has none.
const DEFAULT_PORT: u16 = 80;

/// The proxies that the environment names, and the servers to reach without one.
#[derive(Debug, Default)]
pub struct Proxies(Option<Matcher>);

/// A proxy on the way to a server.
#[derive(Clone)]
pub struct Proxy {
    intercept: Intercept,
}

impl fmt::Debug for Proxy {
    /// Writes the address, without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(self.intercept.uri()).finish()
    }
}

impl fmt::Display for Proxy {
    /// Writes the origin, without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.intercept.uri();
        let (scheme, authority) =
            (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |host| host.as_str()));
        write!(f, "{scheme}://{authority}")
    }
}

impl Proxies {
    /// Reads the usual variables through `variable`: upper case, else lower case. An empty one counts as unset.
    pub fn new<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Self {
        let value = |name: &str| variable(name).or_else(|| variable(&name.to_ascii_lowercase()));
        let [https, http, all] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"].map(value);
        if https.or(http).or(all).is_none() {
            return Self(None);
        }
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let builder = Matcher::builder().https(text(https)).http(text(http)).all(text(all));
        Self(Some(builder.no(text(value("NO_PROXY"))).build()))
    }

    /// Returns the proxy for a server, if there is one. This machine and its link-local addresses are always reached
    /// directly: instances and containers get their keys from there.
    pub fn proxy_for(&self, is_encrypted: bool, host: &str) -> Option<Proxy> {
        let matcher = self.0.as_ref()?;
        let address = host.parse::<IpAddr>();
        let is_direct = match address {
            Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
            Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unicast_link_local(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        if is_direct {
            return None;
        }
        let scheme = if is_encrypted { Scheme::HTTPS } else { Scheme::HTTP };
        let authority = if matches!(address, Ok(IpAddr::V6(_))) { format!("[{host}]") } else { host.to_owned() };
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build().ok()?;
        matcher.intercept(&uri).map(|intercept| Proxy { intercept })
    }
}

impl Proxy {
    /// Connects to the proxy itself, for requests over plain HTTP.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        let uri = self.intercept.uri();
        if uri.scheme() != Some(&Scheme::HTTP) {
            let message = format!("the proxy {self} is not supported: Larder speaks to http:// proxies alone");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        connect(host, uri.port_u16().unwrap_or(DEFAULT_PORT)).await
    }

    /// Connects to `authority` (`host:port`) through the proxy.
    pub async fn tunnel(&self, authority: &str) -> io::Result<TcpStream> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(self.connect().await?)).await.map_err(io::Error::other)?;
        let mut request = Request::connect(authority).header(header::HOST, authority);
        if let Some(authorization) = self.authorization() {
            request = request.header(header::PROXY_AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
        let asking = async move {
            let response = sender.send_request(request).await.map_err(io::Error::other)?;
            match response.status() {
                status if status.is_success() => hyper::upgrade::on(response).await.map_err(io::Error::other),
                StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(self.refusal("wants another name or password")),
                status => Err(self.refusal(&format!("answers {status}"))),
            }
        };
        let (_, upgraded) = tokio::join!(connection.with_upgrades(), asking);
        let parts = upgraded?.downcast::<TokioIo<TcpStream>>().map_err(|_| self.refusal("gave no connection"))?;
        if !parts.read_buf.is_empty() {
            return Err(self.refusal("speaks before the server does"));
        }
        Ok(parts.io.into_inner())
    }

    /// Returns the credentials for the proxy, if it requires any.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.intercept.basic_auth()
    }

    fn refusal(&self, reason: &str) -> io::Error {
        io::Error::other(format!("the proxy {self} {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpSocket},
    };

    use super::*;

    /// A listener with a full queue: Linux drops every further SYN, like a host that is down.
    struct Silent {
        address: SocketAddr,
        _listener: TcpListener,
        _queued: Vec<TcpStream>,
    }

    impl Silent {
        async fn listen() -> Self {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
            let listener = socket.listen(1).expect("it listens");
            let address = listener.local_addr().expect("it is bound");
            let mut queued = Vec::new();
            while let Ok(connected) = timeout(ATTEMPT_DELAY, attempt(address)).await {
                queued.push(connected.expect("its queue takes it"));
            }
            Self { address, _listener: listener, _queued: queued }
        }
    }

    async fn listener() -> (SocketAddr, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        (listener.local_addr().expect("it is bound"), listener)
    }

    #[tokio::test]
    async fn an_address_that_never_answers_does_not_hold_up_the_next() {
        let (silent, (address, _listener)) = (Silent::listen().await, listener().await);
        let raced = timeout(Duration::from_secs(1), race([silent.address, silent.address, address])).await;
        let stream = raced.expect("within a second").expect("one of them answers");
        assert_eq!(stream.peer_addr().expect("it is connected"), address);
    }

    #[tokio::test]
    async fn an_address_that_refuses_gives_way_at_once_and_its_error_is_the_last_word() {
        let (refusing, closed) = listener().await;
        drop(closed);
        let (address, _listener) = listener().await;
        let raced = timeout(ATTEMPT_DELAY, race([refusing, refusing, address])).await;
        raced.expect("without a delay").expect("one of them answers");
        let error = race([refusing]).await.expect_err("nothing listens there");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race([]).await.expect_err("there is nothing").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn address_families_alternate() {
        let addresses =
            ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(|text| text.parse().expect(text));
        let ordered: Vec<_> = alternated(addresses.into_iter()).iter().map(ToString::to_string).collect();
        assert_eq!(ordered, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    }

    fn proxies(variables: &'static [(&str, &str)]) -> Proxies {
        Proxies::new(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    fn shown(proxies: &Proxies, is_encrypted: bool, host: &str) -> Option<String> {
        proxies.proxy_for(is_encrypted, host).map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_usual_variables_say_what_is_reached_through_which_proxy() {
        let all = proxies(&[
            ("HTTPS_PROXY", "http://user:s3cret@p:3128"),
            ("http_proxy", "q:80"),
            ("NO_PROXY", "near.example,10.0.0.0/8"),
        ]);
        assert_eq!(shown(&all, true, "s3.eu-north-1.amazonaws.com").as_deref(), Some("http://p:3128"));
        assert_eq!(shown(&all, false, "minio").as_deref(), Some("http://q:80"));
        for direct in ["near.example", "b.near.example", "10.1.2.3", "localhost", "127.0.0.1", "::1", "169.254.169.254"]
        {
            assert_eq!(shown(&all, true, direct), None, "{direct}");
        }
        assert!(!format!("{all:?}").contains("s3cret"));
        assert_eq!(shown(&proxies(&[("NO_PROXY", "*")]), true, "a"), None);
        assert_eq!(shown(&proxies(&[("ALL_PROXY", "http://p")]), false, "2001:db8::1").as_deref(), Some("http://p"));
    }

    #[tokio::test]
    async fn a_tunnel_is_the_connection_behind_it_or_says_why_there_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let url = format!("http://user:s3cret@{address}");
        let proxies = Proxies::new(|name| (name == "HTTPS_PROXY").then_some(url.as_str()));
        let proxy = proxies.proxy_for(true, "s3.example").expect("there is one");
        for (answer, error) in [
            ("200 OK\r\n\r\n", None),
            ("407 No\r\nContent-Length: 0\r\n\r\n", Some("wants another name or password")),
            ("403 No\r\nContent-Length: 0\r\n\r\n", Some("answers 403")),
        ] {
            let serving = async {
                let (mut stream, _) = listener.accept().await.expect("it connects");
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    asked.push(stream.read_u8().await.expect("more comes"));
                }
                stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.expect("it is taken");
                (String::from_utf8(asked).expect("text"), stream)
            };
            let (tunnel, (asked, mut server)) = tokio::join!(proxy.tunnel("s3.example:443"), serving);
            assert!(asked.starts_with("CONNECT s3.example:443 HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains("Basic dXNlcjpzM2NyZXQ="), "{asked}");
            match (tunnel, error) {
                (Ok(mut tunnel), None) => {
                    tunnel.write_all(b"hello").await.expect("it is open");
                    let mut came = [0; 5];
                    server.read_exact(&mut came).await.expect("it comes through");
                    assert_eq!(&came, b"hello");
                }
                (Err(error), Some(expected)) => {
                    let text = error.to_string();
                    assert!(text.contains(expected) && text.contains(&address) && !text.contains("s3cret"), "{text}");
                }
                (tunnel, error) => panic!("{tunnel:?} where {error:?} was expected"),
            }
        }
    }

    #[tokio::test]
    async fn a_proxy_of_another_protocol_is_refused_by_name() {
        let proxies = proxies(&[("ALL_PROXY", "socks5://user:s3cret@p:1080")]);
        let proxy = proxies.proxy_for(true, "s3.example").expect("there is one");
        let text = proxy.tunnel("s3.example:443").await.expect_err("it is not spoken").to_string();
        assert!(text.contains("socks5://p:1080") && text.contains("http://") && !text.contains("s3cret"), "{text}");
    }
}
