//! Connections: the address of a server, the socket, TLS, the timeout without progress, the bytes read but not used yet,
//! and the pool of idle connections.
//!
//! A connection stays in the runtime that created it: that runtime wakes its socket, and a task in another one would
//! need a second wake-up.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use foldhash::quality::RandomState;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    runtime,
};
use tokio_rustls::{
    client::TlsStream,
    rustls::{
        ClientConfig, Error as TlsError, InvalidMessage, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, pem::PemObject},
    },
};
use tokio_util::io::poll_read_buf;

use larder_runtime::{clock::Clock, network::Proxy};

/// Bytes read at a time while the rest is short or unknown: a head and a small body arrive together.
const SMALL_READ_BYTES: usize = 16 * 1024;

/// Bytes read at a time within a large body.
const LARGE_READ_BYTES: usize = 128 * 1024;

/// Minimum free bytes of a buffer that justify a read.
const MIN_READ_BYTES: usize = 4 * 1024;

/// A connection to one server.
#[derive(Debug)]
pub struct Connection {
    /// The server.
    pub endpoint: Endpoint,
    /// Bytes read but not used yet.
    pub input: BytesMut,
    /// Timeout without progress.
    pub deadline: Deadline,
    /// The proxy for plain requests; `None` for a tunnel or without a proxy.
    pub proxy: Option<Proxy>,
    socket: Socket,
}

impl Connection {
    /// Returns a new connection.
    pub fn new(endpoint: Endpoint, socket: Socket, proxy: Option<Proxy>, deadline: Deadline) -> Self {
        Self { endpoint, input: BytesMut::new(), deadline, proxy, socket }
    }

    /// Returns whether the connection is unusable, as far as can be seen without sending.
    pub fn is_closed(&self) -> bool {
        !self.input.is_empty() || self.socket.is_closed()
    }

    /// Reads more, about `wanted` bytes; zero at the end.
    pub fn poll_read(&mut self, context: &mut Context<'_>, wanted: u64) -> Poll<io::Result<usize>> {
        // Returned bytes share the block: a new one is allocated only when little of it is left.
        if self.input.capacity() - self.input.len() < MIN_READ_BYTES {
            self.input.reserve(if wanted >= LARGE_READ_BYTES as u64 { LARGE_READ_BYTES } else { SMALL_READ_BYTES });
        }
        poll_read_buf(Pin::new(&mut self.socket), context, &mut self.input)
    }

    /// Writes from the front of `head`, then of `body`, and removes the written bytes.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        head: &mut Bytes,
        body: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        let socket = Pin::new(&mut self.socket);
        // A vectored write costs more than a write of one part.
        let writing = match (head.is_empty(), body.is_empty()) {
            (true, _) => socket.poll_write(context, body),
            (_, true) => socket.poll_write(context, head),
            _ => socket.poll_write_vectored(context, &[io::IoSlice::new(head), io::IoSlice::new(body)]),
        };
        let written = ready!(writing)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_head = written.min(head.len());
        head.advance(of_head);
        body.advance(written - of_head);
        Poll::Ready(Ok(()))
    }

    /// Sends the bytes that an encrypted connection has buffered.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }
}

/// A connection that waits for its next exchange.
#[derive(Debug)]
pub struct Idle {
    /// The connection.
    pub connection: Connection,
    /// Start of the wait, by the monotonic clock.
    pub since: Duration,
}

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// Plain text.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Returns whether the server has closed, or sent unsolicited bytes, while the connection was idle.
    pub fn is_closed(&self) -> bool {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        };
        let mut byte = [0];
        socket.peek(&mut byte).now_or_never().is_some()
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// The trusted certificate authorities.
#[derive(Debug, Clone)]
pub struct TlsRoots {
    config: Arc<ClientConfig>,
}

/// Reason why no certificates could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TlsRootsError {
    /// The file of certificates cannot be read.
    #[error("cannot read PEM certificates from {path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// Reason.
        message: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] TlsError),
}

impl TlsRoots {
    /// Loads the system's root certificates, and those in `file`.
    pub fn load(file: Option<&Path>) -> Result<Self, TlsRootsError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        for error in system.errors {
            tracing::warn!(%error, "cannot read some of the TLS root certificates of this system");
        }
        if let Some(path) = file {
            let invalid_file = |message: String| TlsRootsError::File { path: path.to_owned(), message };
            let mut count = 0;
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| invalid_file(error.to_string()))? {
                let certificate = certificate.map_err(|error| invalid_file(error.to_string()))?;
                roots.add(certificate).map_err(|error| invalid_file(error.to_string()))?;
                count += 1;
            }
            if count == 0 {
                return Err(invalid_file("the file has none".to_owned()));
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsRootsError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }

    /// Returns the TLS connector.
    pub(super) fn connector(&self) -> tokio_rustls::TlsConnector {
        tokio_rustls::TlsConnector::from(Arc::clone(&self.config))
    }
}

/// Returns whether a handshake failed because the server does not speak TLS.
pub(super) fn is_no_tls(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)))
}

/// Returns the error for a host that no certificate can name.
pub(super) fn invalid_name() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the host is not a name that a certificate can have")
}

/// A timeout for a wait.
pub struct Deadline {
    clock: Arc<dyn Clock>,
    limit: Duration,
    /// Start of the current wait.
    since: Option<Duration>,
    timer: Option<Timer>,
}

struct Timer {
    rings_at: Duration,
    rings: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Deadline {
    /// Returns a timeout for each wait.
    pub fn new(clock: &Arc<dyn Clock>, limit: Duration) -> Self {
        Self { clock: Arc::clone(clock), limit, since: None, timer: None }
    }

    /// Ends the wait; the next one starts again, with this limit.
    pub fn reset(&mut self, limit: Duration) {
        self.since = None;
        self.limit = limit;
    }

    /// Becomes ready once a wait has lasted too long; a wait starts with the first call after a reset.
    pub fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = *self.since.get_or_insert_with(|| self.clock.monotonic()) + self.limit;
        loop {
            if let Some(timer) = self.timer.as_mut().filter(|timer| timer.rings_at <= end) {
                ready!(timer.rings.as_mut().poll(context));
            }
            self.timer = None;
            let now = self.clock.monotonic();
            let Some(pause) = end.checked_sub(now).filter(|pause| !pause.is_zero()) else {
                return Poll::Ready(());
            };
            let clock = Arc::clone(&self.clock);
            self.timer = Some(Timer { rings_at: end, rings: Box::pin(async move { clock.sleep(pause).await }) });
        }
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Maximum number of idle connections to one server in one runtime.
const MAX_IDLE_CONNECTIONS: usize = 512;

/// Connections by their runtime and their server, longest idle first.
type IdleConnections = HashMap<runtime::Id, HashMap<Endpoint, Vec<Idle>, RandomState>, RandomState>;

/// Idle connections.
#[derive(Debug)]
pub struct Pool {
    idle_limit: Duration,
    idle: Mutex<IdleConnections>,
}

impl Pool {
    /// Returns an empty pool, whose connections are idle for at most `idle_limit`.
    pub fn new(idle_limit: Duration) -> Self {
        Self { idle_limit, idle: Mutex::default() }
    }

    /// Takes the most recently used connection of this runtime, if one is still good.
    pub fn take(&self, endpoint: &Endpoint, now: Duration) -> Option<Connection> {
        loop {
            let Idle { connection, since } = self.idle.lock().get_mut(&current_runtime()?)?.get_mut(endpoint)?.pop()?;
            if now.saturating_sub(since) < self.idle_limit && !connection.is_closed() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection after a successful exchange.
    pub fn put(&self, connection: Connection, now: Duration) {
        let Some(runtime) = current_runtime() else { return };
        let mut idle = self.idle.lock();
        let idle = idle.entry(runtime).or_default();
        if let Some(waiting) = idle.get_mut(&connection.endpoint) {
            if waiting.len() < MAX_IDLE_CONNECTIONS {
                waiting.push(Idle { connection, since: now });
            }
        } else {
            idle.insert(connection.endpoint.clone(), vec![Idle { connection, since: now }]);
        }
    }

    /// Closes connections that were idle for too long.
    pub fn prune(&self, now: Duration) {
        let mut old = Vec::new();
        let mut idle = self.idle.lock();
        for waiting in idle.values_mut().flat_map(HashMap::values_mut) {
            let count = waiting.iter().take_while(|idle| now.saturating_sub(idle.since) >= self.idle_limit).count();
            old.extend(waiting.drain(..count));
        }
        idle.retain(|_, of_runtime| {
            of_runtime.retain(|_, waiting| !waiting.is_empty());
            !of_runtime.is_empty()
        });
        drop(idle);
        // Closed after the lock is released.
        drop(old);
    }

    /// Returns the maximum idle time of a connection.
    pub fn idle_limit(&self) -> Duration {
        self.idle_limit
    }
}

/// Returns the current runtime; `None` if a body is dropped outside of any.
fn current_runtime() -> Option<runtime::Id> {
    runtime::Handle::try_current().ok().map(|handle| handle.id())
}

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
