//! HTTP client for another server.

use std::{error::Error, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Version, header};
use http_body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    network::{Proxies, Proxy, connect},
};

#[cfg(feature = "s3")]
use super::encryption::Encryption;
use super::{
    address::PeerAddress,
    answer::{Answer, AnswerBody},
    error::PeerError,
    idle::{Channel, IdleChannels},
    outgoing::{Outgoing, Progress},
};

/// Any error.
type BoxError = Box<dyn Error + Send + Sync>;

/// Marks a request as forwarded by a gateway. A gateway that would have to forward it again refuses it.
pub const FORWARDED: HeaderName = HeaderName::from_static("larder-forwarded");

/// Timeout for connecting.
const CONNECT: Duration = Duration::from_secs(3);

/// Marks a request as relayed to an upstream. A gateway that would have to relay it again refuses it.
pub const RELAYED: HeaderName = HeaderName::from_static("larder-relayed");

/// Timeout for another gateway that neither takes bytes of a request nor begins to answer it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for an upstream, which may have to scan a whole dataset first. Below the 6 minutes after which the official
/// clients give up.
const UPSTREAM_PATIENCE: Duration = Duration::from_mins(2);

/// The same for a trace collector.
const COLLECTOR_PATIENCE: Duration = Duration::from_secs(10);

/// Maximum number of connections tried for one request: idle ones may turn out to be closed before anything was sent.
const MAX_CONNECTIONS_TRIED: usize = 4;

/// HTTP client for another server: a gateway, an upstream, or a trace collector.
#[derive(Debug)]
pub struct Peer {
    address: PeerAddress,
    mark: Option<HeaderName>,
    patience: Duration,
    #[cfg(feature = "s3")]
    encryption: Option<Encryption>,
    proxy: Option<Proxy>,
    clock: Arc<dyn Clock>,
    idle: Arc<IdleChannels>,
    connections: TaskTracker,
}

impl Peer {
    /// Returns a client for the gateway at `address`, without a proxy. The first request opens the first connection.
    pub fn new(address: PeerAddress, clock: Arc<dyn Clock>) -> Self {
        let idle = Arc::new(IdleChannels::new(Arc::clone(&clock)));
        Self {
            address,
            mark: Some(FORWARDED),
            patience: PATIENCE,
            #[cfg(feature = "s3")]
            encryption: None,
            proxy: None,
            clock,
            idle,
            connections: TaskTracker::new(),
        }
    }

    /// Returns a client for the upstream at `address`, a server of any make. The first request opens the first
    /// connection.
    ///
    /// Fails if the address asks for encryption and that is not available.
    pub fn upstream(address: PeerAddress, proxies: &Proxies, clock: Arc<dyn Clock>) -> Result<Self, BoxError> {
        let proxy = proxies.on_the_way_to(address.is_encrypted(), address.target().0);
        #[cfg(feature = "s3")]
        let encryption = address.is_encrypted().then(|| Encryption::with(address.target().0)).transpose()?;
        #[cfg(not(feature = "s3"))]
        if address.is_encrypted() {
            return Err("this build does not speak HTTPS".into());
        }
        Ok(Self {
            mark: Some(RELAYED),
            patience: UPSTREAM_PATIENCE,
            #[cfg(feature = "s3")]
            encryption,
            proxy,
            ..Self::new(address, clock)
        })
    }

    /// Returns a client for the trace collector at `address`. Unlike those to an upstream, its requests carry no mark
    /// against relaying.
    pub fn collector(address: PeerAddress, proxies: &Proxies, clock: Arc<dyn Clock>) -> Result<Self, BoxError> {
        Ok(Self { mark: None, patience: COLLECTOR_PATIENCE, ..Self::upstream(address, proxies, clock)? })
    }

    /// Returns the proxy in between, if there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Sends a request, whose URI is a path with its query, and returns the response once its head has arrived. Sets
    /// `Host` and the mark ([`FORWARDED`] or [`RELAYED`]; none for a collector). A request that was sent is never
    /// repeated.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Answer, PeerError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let progress = Arc::new(Progress::new(Arc::clone(&self.clock)));
        let mut request = request.map(|body| Outgoing::new(body, Arc::clone(&progress)));
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.address.authority().clone());
        headers.extend(self.mark.clone().map(|mark| (mark, HeaderValue::from_static("1"))));
        if let Some(proxy) = self.proxy.as_ref().filter(|_| !self.address.is_encrypted()) {
            headers.extend(proxy.authorization().map(|value| (header::PROXY_AUTHORIZATION, value.clone())));
            *request.uri_mut() = self.address.url(request.uri());
        }
        for tried in 1..=MAX_CONNECTIONS_TRIED {
            let kept = if tried < MAX_CONNECTIONS_TRIED { self.idle.take() } else { None };
            let mut channel = match kept {
                Some(channel) => channel,
                None => self.connect().await?,
            };
            let sent = tokio::select! {
                sent = channel.sender.try_send_request(request) => sent,
                () = progress.exhausted(self.patience) => return Err(PeerError::Silent),
            };
            match sent {
                Ok(response) => {
                    let (head, incoming) = response.into_parts();
                    let body = AnswerBody::new(incoming, channel, Arc::clone(&self.idle), Arc::clone(&self.clock));
                    return Ok(Answer { head, body });
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None if progress.is_broken() => return Err(PeerError::Request),
                    None => return Err(PeerError::Broken(failed.into_error())),
                },
            }
        }
        Err(PeerError::NoConnection)
    }

    async fn connect(&self) -> Result<Channel, PeerError> {
        tokio::select! {
            channel = self.open() => channel,
            () = self.clock.sleep(CONNECT) => Err(PeerError::NoConnection),
        }
    }

    async fn open(&self) -> Result<Channel, PeerError> {
        let stream = self.reach().await.map_err(PeerError::Unreachable)?;
        #[cfg(feature = "s3")]
        if let Some(encryption) = &self.encryption {
            return self.speak(encryption.of(stream).await.map_err(PeerError::Unreachable)?).await;
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

    /// Starts HTTP over a stream; it ends when the channel is dropped.
    async fn speak<S>(&self, stream: S) -> Result<Channel, PeerError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(PeerError::Broken)?;
        let open = CancellationToken::new();
        let closed = open.clone();
        self.connections.spawn(async move {
            // The caller that waits for the response gets the error.
            let _ = closed.run_until_cancelled(connection).await;
        });
        Ok(Channel::new(sender, open.drop_guard()))
    }
}
