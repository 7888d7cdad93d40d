//! HTTP client for another server: its connections, the idle ones among them, and its timeouts; and the client for
//! requests that a gateway makes to another on its own behalf.

use std::{error::Error, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use http_body::Body;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    clock::Clock,
    network::{Proxies, Proxy, connect},
};

#[cfg(feature = "s3")]
use super::tls::TlsConfig;
use super::{
    address::ServerAddress,
    bodies::{ClientResponse, ClientResponseBody, Progress, TrackedBody},
};

/// Any error.
type BoxError = Box<dyn Error + Send + Sync>;

/// Marks a request as forwarded by a gateway. A gateway that would have to forward it again refuses it.
pub const FORWARDED: HeaderName = HeaderName::from_static("larder-forwarded");

/// Timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Marks a request as relayed to an upstream. A gateway that would have to relay it again refuses it.
pub const RELAYED: HeaderName = HeaderName::from_static("larder-relayed");

/// Timeout for another gateway that neither takes bytes of a request nor begins to answer it.
const LEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The same for an upstream, which may have to scan a whole dataset first. Below the 6 minutes after which the official
/// clients give up.
const UPSTREAM_TIMEOUT: Duration = Duration::from_mins(2);

/// The same for a trace collector.
const OTLP_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of connections tried for one request: idle ones may turn out to be closed before anything was sent.
const MAX_CONNECTION_ATTEMPTS: usize = 4;

/// HTTP client for another server: a gateway, an upstream, or a trace collector.
#[derive(Debug)]
pub struct HttpClient {
    address: ServerAddress,
    mark: Option<HeaderName>,
    timeout: Duration,
    #[cfg(feature = "s3")]
    tls: Option<TlsConfig>,
    proxy: Option<Proxy>,
    clock: Arc<dyn Clock>,
    idle: Arc<IdleConnections>,
    connections: TaskTracker,
}

impl HttpClient {
    /// Returns a client for the gateway at `address`, without a proxy. The first request opens the first connection.
    pub fn leader(address: ServerAddress, clock: Arc<dyn Clock>) -> Self {
        let idle = Arc::new(IdleConnections::new(Arc::clone(&clock)));
        Self {
            address,
            mark: Some(FORWARDED),
            timeout: LEADER_TIMEOUT,
            #[cfg(feature = "s3")]
            tls: None,
            proxy: None,
            clock,
            idle,
            connections: TaskTracker::new(),
        }
    }

    /// Returns a client for the upstream at `address`, a server of any make. The first request opens the first
    /// connection.
    ///
    /// Fails if the address asks for TLS and that is not available.
    pub fn upstream(address: ServerAddress, proxies: &Proxies, clock: Arc<dyn Clock>) -> Result<Self, BoxError> {
        let proxy = proxies.proxy_for(address.is_encrypted(), address.target().0);
        #[cfg(feature = "s3")]
        let tls = address.is_encrypted().then(|| TlsConfig::for_host(address.target().0)).transpose()?;
        #[cfg(not(feature = "s3"))]
        if address.is_encrypted() {
            return Err("this build does not speak HTTPS".into());
        }
        Ok(Self {
            mark: Some(RELAYED),
            timeout: UPSTREAM_TIMEOUT,
            #[cfg(feature = "s3")]
            tls,
            proxy,
            ..Self::leader(address, clock)
        })
    }

    /// Returns a client for the trace collector at `address`. Unlike those to an upstream, its requests carry no mark
    /// against relaying.
    pub fn otlp(address: ServerAddress, proxies: &Proxies, clock: Arc<dyn Clock>) -> Result<Self, BoxError> {
        Ok(Self { mark: None, timeout: OTLP_TIMEOUT, ..Self::upstream(address, proxies, clock)? })
    }

    /// Returns the proxy in between, if there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Sends a request, whose URI is a path with its query, and returns the response once its head has arrived. Sets
    /// `Host` and the mark ([`FORWARDED`] or [`RELAYED`]; none for a collector). A request that was sent is never
    /// repeated.
    pub async fn send<B>(&self, request: Request<B>) -> Result<ClientResponse, HttpClientError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let progress = Arc::new(Progress::new(Arc::clone(&self.clock)));
        let mut request = request.map(|body| TrackedBody::new(body, Arc::clone(&progress)));
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.address.authority().clone());
        headers.extend(self.mark.clone().map(|mark| (mark, HeaderValue::from_static("1"))));
        if let Some(proxy) = self.proxy.as_ref().filter(|_| !self.address.is_encrypted()) {
            headers.extend(proxy.authorization().map(|value| (header::PROXY_AUTHORIZATION, value.clone())));
            *request.uri_mut() = self.address.url(request.uri());
        }
        for tried in 1..=MAX_CONNECTION_ATTEMPTS {
            let kept = if tried < MAX_CONNECTION_ATTEMPTS { self.idle.take() } else { None };
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let sent = tokio::select! {
                sent = connection.sender.try_send_request(request) => sent,
                () = progress.stalled(self.timeout) => return Err(HttpClientError::Silent),
            };
            match sent {
                Ok(response) => {
                    let (head, incoming) = response.into_parts();
                    let body =
                        ClientResponseBody::new(incoming, connection, Arc::clone(&self.idle), Arc::clone(&self.clock));
                    return Ok(ClientResponse { head, body });
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None if progress.request_failed() => return Err(HttpClientError::Request),
                    None => return Err(HttpClientError::Broken(failed.into_error())),
                },
            }
        }
        Err(HttpClientError::NoConnection)
    }

    async fn connect(&self) -> Result<Connection, HttpClientError> {
        tokio::select! {
            connection = self.open() => connection,
            () = self.clock.sleep(CONNECT_TIMEOUT) => Err(HttpClientError::NoConnection),
        }
    }

    async fn open(&self) -> Result<Connection, HttpClientError> {
        let stream = self.reach().await.map_err(HttpClientError::Unreachable)?;
        #[cfg(feature = "s3")]
        if let Some(tls) = &self.tls {
            return self.speak(tls.handshake(stream).await.map_err(HttpClientError::Unreachable)?).await;
        }
        self.speak(stream).await
    }

    async fn reach(&self) -> io::Result<TcpStream> {
        let (host, port) = self.address.target();
        match &self.proxy {
            None => connect(host, port).await,
            Some(proxy) if self.address.is_encrypted() => proxy.tunnel(&self.address.authority_with_port()).await,
            Some(proxy) => proxy.connect().await,
        }
    }

    /// Starts HTTP over a stream; it ends when the connection is dropped.
    async fn speak<S>(&self, stream: S) -> Result<Connection, HttpClientError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(HttpClientError::Broken)?;
        let open = CancellationToken::new();
        let closed = open.clone();
        self.connections.spawn(async move {
            // The caller that waits for the response gets the error.
            let _ = closed.run_until_cancelled(connection).await;
        });
        Ok(Connection::new(sender, open.drop_guard()))
    }
}

/// Maximum number of idle connections.
const MAX_IDLE: usize = 16;

/// Maximum idle time of a connection: well below the timeout of servers, so that no request goes into a closing
/// connection.
const MAX_IDLE_TIME: Duration = Duration::from_secs(5);

/// A connection that can carry one request. Dropping it closes the connection.
#[derive(Debug)]
pub struct Connection {
    /// Sender of requests.
    pub sender: SendRequest<TrackedBody>,
    _open: DropGuard,
}

impl Connection {
    /// Returns a connection that ends with `open`.
    pub fn new(sender: SendRequest<TrackedBody>, open: DropGuard) -> Self {
        Self { sender, _open: open }
    }
}

/// Connections that wait for a request.
#[derive(Debug)]
pub struct IdleConnections {
    clock: Arc<dyn Clock>,
    connections: Mutex<Vec<(Connection, Duration)>>,
}

impl IdleConnections {
    /// Returns an empty pool.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, connections: Mutex::default() }
    }

    /// Takes the connection that was idle for the shortest time.
    pub fn take(&self) -> Option<Connection> {
        let now = self.clock.monotonic();
        let mut connections = self.connections.lock();
        connections
            .retain(|(connection, since)| !connection.sender.is_closed() && now.saturating_sub(*since) < MAX_IDLE_TIME);
        let at = connections.iter().rposition(|(connection, _)| connection.sender.is_ready())?;
        Some(connections.remove(at).0)
    }

    /// Returns a connection whose response was read to its end.
    pub fn put_back(&self, connection: Connection) {
        let now = self.clock.monotonic();
        let mut connections = self.connections.lock();
        if connections.len() == MAX_IDLE {
            connections.remove(0);
        }
        connections.push((connection, now));
    }
}

/// A request that got no complete response. Unless a variant says otherwise, its effect on the other server is unknown.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// Connecting failed; nothing was sent.
    #[error("cannot reach the other server")]
    Unreachable(#[source] std::io::Error),
    /// Connecting timed out; nothing was sent.
    #[error("cannot connect to the other server: it does not accept connections")]
    NoConnection,
    /// No response came in time, or its body stalled.
    #[error("the other server does not respond")]
    Silent,
    /// The request's own body broke off: the other server never had all of it.
    #[error("the request body was aborted")]
    Request,
    /// The connection broke, or the response was no HTTP.
    #[error("the connection to the other server was lost")]
    Broken(#[source] hyper::Error),
}

/// Client for another gateway, with this gateway's own credentials.
#[derive(Debug)]
pub struct LeaderClient {
    client: Arc<HttpClient>,
    /// The header `Authorization`; marked as sensitive, so that it is never logged.
    authorization: HeaderValue,
}

/// Outcome of a request that got a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RpcOutcome {
    /// Success.
    Success,
    /// The subject of the request does not exist.
    NotFound,
    /// The request was refused, or failed.
    Failed(StatusCode),
}

impl LeaderClient {
    /// Returns a client for `client` with this token; `None` if no header can carry it.
    pub fn new(client: Arc<HttpClient>, token: &str) -> Option<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        authorization.set_sensitive(true);
        Some(Self { client, authorization })
    }

    /// Posts a JSON document. A request that was sent is never repeated.
    pub async fn post(&self, path: &'static str, document: Vec<u8>) -> Result<RpcOutcome, HttpClientError> {
        let mut request = Request::new(Full::new(Bytes::from(document)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(path);
        request.headers_mut().insert(header::AUTHORIZATION, self.authorization.clone());
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut response = self.client.send(request).await?;
        let outcome = match response.head.status {
            status if status.is_success() => RpcOutcome::Success,
            StatusCode::NOT_FOUND => RpcOutcome::NotFound,
            status => RpcOutcome::Failed(status),
        };
        if outcome == RpcOutcome::Success {
            // The connection is reusable only after the body was read to its end.
            while response.body.chunk().await?.is_some() {}
        }
        Ok(outcome)
    }
}
