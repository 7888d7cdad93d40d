//! The HTTP client: requests and timeouts, connecting, and exchanges over pooled connections.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::task::TaskTracker;

use larder_runtime::{
    clock::Clock,
    network::{Proxies, Proxy, connect},
    telemetry::{CallClass, CallCost, CostLedger, redacted_path},
};

use super::{
    connection::{Connection, Deadline, Endpoint, Pool, Socket, TlsRoots, invalid_name, is_no_tls},
    exchange::{Exchange, Http1Error, Phase},
    response::Response,
};
use crate::ByteStream;

/// A client for any number of servers.
#[derive(Debug)]
pub struct Http1Client {
    timeouts: Timeouts,
    roots: TlsRoots,
    proxies: Arc<Proxies>,
    clock: Arc<dyn Clock>,
    /// Ledger for the cost of calls of the object store.
    ledger: Arc<CostLedger>,
    pool: Arc<Pool>,
    tasks: TaskTracker,
    is_pruned: AtomicBool,
}

impl Http1Client {
    /// Returns a client without connections.
    pub fn new(
        timeouts: Timeouts,
        roots: TlsRoots,
        proxies: Arc<Proxies>,
        clock: Arc<dyn Clock>,
        ledger: Arc<CostLedger>,
    ) -> Self {
        let pool = Arc::new(Pool::new(timeouts.idle));
        let (tasks, is_pruned) = (TaskTracker::new(), AtomicBool::new(false));
        Self { timeouts, roots, proxies, clock, ledger, pool, tasks, is_pruned }
    }

    /// Sends a request to `endpoint`, and returns the response once its head has arrived. If this fails before anything
    /// was sent, the body is still in `request`.
    pub async fn send(&self, endpoint: &Endpoint, request: &mut Http1Request) -> Result<Response, Http1Error> {
        let is_logged = request.class.is_some() && tracing::enabled!(tracing::Level::DEBUG);
        let began = is_logged.then(|| self.clock.monotonic());
        let outcome = self.exchange(endpoint, request).await;
        if let Some(began) = began {
            log_call(request, &outcome, self.clock.monotonic().saturating_sub(began));
        }
        outcome
    }

    async fn exchange(&self, endpoint: &Endpoint, request: &mut Http1Request) -> Result<Response, Http1Error> {
        let pooled = self.pool.take(endpoint, self.clock.monotonic());
        let mut connection = match pooled {
            Some(connection) => connection,
            // Boxed, since it is rare: otherwise each request's future would be as large as that of connecting.
            None => Box::pin(self.connect(endpoint)).await?,
        };
        let mut call_cost = request.class.map(|class| CallCost::start(&self.ledger, class));
        let head = match &connection.proxy {
            Some(proxy) => for_proxy(&request.head, endpoint, proxy),
            None => request.head.clone(),
        };
        let exchange = Exchange::new(
            &mut connection,
            &self.timeouts,
            head,
            &mut request.body,
            request.awaits_continue,
            call_cost.as_mut(),
        );
        let outcome = exchange.run().await;
        if let Some(call_cost) = call_cost.take_if(|_| matches!(&outcome, Err(error) if error.phase() == Phase::Unsent))
        {
            call_cost.cancel();
        }
        let (head, is_sent) = outcome?;
        let framing = head.framing(request.is_head)?;
        let is_kept = is_sent && head.keeps_connection() && !framing.may_close();
        self.prune_in_time();
        let shared = (&self.pool, &self.clock);
        Ok(Response::new(head, framing, connection, is_kept, self.timeouts.stall, shared, call_cost))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, Http1Error> {
        let connected = tokio::select! {
            connected = self.open(endpoint) => connected,
            () = self.clock.sleep(self.timeouts.connect) => Err(io::ErrorKind::TimedOut.into()),
        };
        match connected {
            Ok((socket, proxy)) => {
                let deadline = Deadline::new(&self.clock, self.timeouts.stall);
                Ok(Connection::new(endpoint.clone(), socket, proxy, deadline))
            }
            Err(source) if is_no_tls(&source) => Err(Http1Error::NoTls { endpoint: endpoint.to_string() }),
            Err(source) => Err(Http1Error::Connect { endpoint: endpoint.to_string(), source }),
        }
    }

    async fn open(&self, endpoint: &Endpoint) -> io::Result<(Socket, Option<Proxy>)> {
        let proxy = self.proxies.proxy_for(endpoint.is_tls, &endpoint.host);
        if endpoint.is_tls {
            let socket = match &proxy {
                Some(proxy) => proxy.tunnel(&endpoint.authority_with_port()).await?,
                None => connect(&endpoint.host, endpoint.port).await?,
            };
            let name = ServerName::try_from(endpoint.host.to_string()).map_err(|_| invalid_name())?;
            let encrypted = self.roots.connector().connect(name, socket).await?;
            return Ok((Socket::Tls(Box::new(encrypted)), None));
        }
        let socket = match &proxy {
            Some(proxy) => proxy.connect().await?,
            None => connect(&endpoint.host, endpoint.port).await?,
        };
        Ok((Socket::Plain(socket), proxy))
    }

    /// Starts a task that closes idle connections for as long as the pool exists.
    fn prune_in_time(&self) {
        if self.is_pruned.load(Ordering::Relaxed) || self.is_pruned.swap(true, Ordering::Relaxed) {
            return;
        }
        let (pool, clock) = (Arc::downgrade(&self.pool), Arc::clone(&self.clock));
        let pause = self.pool.idle_limit();
        let _detached = self.tasks.spawn(async move {
            loop {
                clock.sleep(pause).await;
                let Some(pool) = pool.upgrade() else { return };
                pool.prune(clock.monotonic());
            }
        });
    }
}

/// Logs a call: its path without the query, which may be signed, and no header field.
fn log_call(request: &Http1Request, outcome: &Result<Response, Http1Error>, time: Duration) {
    let line = request.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| matches!(byte, b' ' | b'?')).map(String::from_utf8_lossy);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (method, path, attempt) = (method.as_ref(), redacted_path(&path, None), request.attempt);
    let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Ok(response) => {
            tracing::debug!(method, path, status = response.head.status, time_ms, attempt, "object store request");
        }
        Err(error) => {
            let error = error as &dyn std::error::Error;
            tracing::debug!(method, path, error, time_ms, attempt, "object store request failed");
        }
    }
}

/// Returns the head of a request as a proxy requires it: with the absolute URL in its first line, and the credentials
/// for the proxy. Signatures cover neither.
fn for_proxy(head: &Bytes, endpoint: &Endpoint, proxy: &Proxy) -> Bytes {
    let (origin, authorization) = (endpoint.to_string(), proxy.authorization());
    let method_end = head.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
    let line_end = head.windows(2).position(|pair| pair == b"\r\n").map_or(head.len(), |at| at + 2);
    let mut whole = Vec::with_capacity(head.len() + origin.len() + 128);
    whole.extend_from_slice(&head[..method_end]);
    whole.extend_from_slice(origin.as_bytes());
    whole.extend_from_slice(&head[method_end..line_end]);
    if let Some(value) = authorization {
        whole.extend_from_slice(b"proxy-authorization: ");
        whole.extend_from_slice(value.as_bytes());
        whole.extend_from_slice(b"\r\n");
    }
    whole.extend_from_slice(&head[line_end..]);
    whole.into()
}

/// The body of a request.
#[derive(Debug)]
pub enum RequestBody {
    /// Bytes, perhaps none, which can be sent again.
    Bytes(Bytes),
    /// A stream of known length, which can be sent once.
    Stream {
        /// The stream.
        stream: ByteStream,
        /// True if some of it was taken already.
        started: bool,
    },
}

impl RequestBody {
    /// Returns an empty body.
    pub fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// Returns whether it can be sent from its beginning.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Stream { started, .. } => !started,
        }
    }
}

/// A request as it is sent.
#[derive(Debug)]
pub struct Http1Request {
    /// The request line and all header fields up to the empty line.
    pub head: Bytes,
    /// The body; the head announces its length.
    pub body: RequestBody,
    /// True if the head asks for `100 Continue`, so that only a server that wants the body gets it.
    pub awaits_continue: bool,
    /// True if the response has no body regardless of its head, because the request is a HEAD.
    pub is_head: bool,
    /// Billing class; `None` for calls to other servers than the object store.
    pub class: Option<CallClass>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}

/// Timeouts of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Timeout for connecting, including TLS.
    pub connect: Duration,
    /// Timeout for the response to `Expect: 100-continue`; then the body is sent anyway.
    pub expect_continue: Duration,
    /// Timeout from the end of the request until the head of the response.
    pub response: Duration,
    /// Timeout for a body in which the server neither sends nor accepts a byte.
    pub stall: Duration,
    /// Maximum idle time of a connection: less than that of servers, so that none closes one just when it is reused.
    /// The shortest seen of an object store is 20 s.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            expect_continue: Duration::from_secs(1),
            response: Duration::from_mins(1),
            stall: Duration::from_secs(30),
            idle: Duration::from_secs(15),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_a_proxy_has_the_absolute_url_and_credentials() {
        let proxies = Proxies::new(|name| (name == "HTTP_PROXY").then_some("http://user:s3cret@p:3128"));
        let proxy = proxies.proxy_for(false, "minio").expect("there is one");
        let endpoint: Endpoint = "http://minio:9000".parse().expect("an origin");
        let head = for_proxy(&Bytes::from_static(b"GET /b/k HTTP/1.1\r\nhost: minio:9000\r\n\r\n"), &endpoint, &proxy);
        assert_eq!(
            head,
            "GET http://minio:9000/b/k HTTP/1.1\r\nproxy-authorization: Basic dXNlcjpzM2NyZXQ=\r\nhost: minio:9000\r\n\r\n"
        );
    }
}
