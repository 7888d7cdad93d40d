//! The other server.

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

/// Whatever went wrong.
type BoxError = Box<dyn Error + Send + Sync>;

/// Marks a request as passed on by a gateway. Whoever would have to pass it on once more refuses it.
pub const FORWARDED: HeaderName = HeaderName::from_static("larder-forwarded");

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// Marks a request as relayed to an upstream. Whoever would have to relay it once more refuses it.
pub const RELAYED: HeaderName = HeaderName::from_static("larder-relayed");

/// How long another gateway may do nothing: neither take bytes of a request nor begin to answer it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for an upstream, which may have to look through a whole dataset first. Below the 6 minutes after which the official
/// clients give up themselves.
const UPSTREAM_PATIENCE: Duration = Duration::from_mins(2);

/// The same for a collector of traces.
const COLLECTOR_PATIENCE: Duration = Duration::from_secs(10);

/// Connections that are tried for one request: kept ones may turn out to be closed before anything was sent.
const MAX_CONNECTIONS_TRIED: usize = 4;

/// Another server: a gateway, an upstream, or a collector.
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
    /// The gateway at `address`, reached without a proxy. Nothing is connected before the first request.
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

    /// The upstream at `address`, a server of whatever make. Nothing is connected before the first request.
    ///
    /// Fails if encryption is asked for and cannot be had.
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

    /// The collector of traces at `address`: as an upstream, but that what it gets is passed on by nobody.
    pub fn collector(address: PeerAddress, proxies: &Proxies, clock: Arc<dyn Clock>) -> Result<Self, BoxError> {
        Ok(Self { mark: None, patience: COLLECTOR_PATIENCE, ..Self::upstream(address, proxies, clock)? })
    }

    /// The proxy on the way, if there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Sends a request, whose URI is a path with its query, and gives the answer as soon as its head is there. `Host` and
    /// the mark ([`FORWARDED`] or [`RELAYED`]; none for a collector) are set here. What has been sent is never sent again.
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

    /// Speaks HTTP over a stream, until the channel is dropped.
    async fn speak<S>(&self, stream: S) -> Result<Channel, PeerError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(PeerError::Broken)?;
        let open = CancellationToken::new();
        let closed = open.clone();
        self.connections.spawn(async move {
            // How it ends is told to whoever waits for an answer.
            let _ = closed.run_until_cancelled(connection).await;
        });
        Ok(Channel::new(sender, open.drop_guard()))
    }
}
