//! The listener, which binds, accepts, and drains its connections, and the threads that serve them.
//!
//! Each thread has a runtime of its own and drives its connections from their first byte to their last, with all calls
//! to other modules. So no request moves between threads, and no step wakes another thread. (One runtime over all
//! threads wakes a second one for every third request under full load, and for each half of most requests under little:
//! docs/decisions/0011-thread-per-core-connections.md.)

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{self, Relaxed},
        },
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::{Builder, Handle},
    task::{JoinError, JoinSet, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

use super::{
    client_addr::TrustedProxies,
    connection::{ConnectionContext, Connections},
    handler::{CLIENT_LIMIT_REACHED, CONNECTION_LIMIT_REACHED, Handler, MAX_REJECTIONS, reject},
    limits::{ServerOptions, Shares},
    tls::Tls,
};

/// Length of the queue of connections to accept; the system may have its own, lower limit.
const BACKLOG: u32 = 4096;

/// Minimum time that serving continues after the drain began: requests sent by then are read and answered.
const MIN_DRAIN_TIME: Duration = Duration::from_millis(50);

/// Pause after the system could not accept, so that a lack of file descriptors does not become a busy loop.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Binding the address failed.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket is bound to the address.
    #[error("cannot listen on {address}: the address is in use by another program, perhaps another Larder")]
    InUse {
        /// The configured address.
        address: SocketAddr,
    },
    /// The system does not allow this user to listen there.
    #[error("cannot listen on {address}: permission denied; ports below 1024 are often reserved")]
    Forbidden {
        /// The configured address.
        address: SocketAddr,
    },
    /// The machine has no such address.
    #[error("cannot listen on {}: this machine has no such address", address.ip())]
    NoSuchAddress {
        /// The configured address.
        address: SocketAddr,
    },
    /// Any other failure.
    #[error("cannot listen on {address}")]
    Other {
        /// The configured address.
        address: SocketAddr,
        /// Error of the system.
        #[source]
        cause: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::Forbidden { address },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { address },
            _ => Self::Other { address, cause },
        }
    }
}

/// Outcome of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Connections with requests still in flight when the drain timed out.
    pub cut_off: usize,
}

/// A bound listener that does not accept yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    options: ServerOptions,
    clock: Arc<dyn Clock>,
    open: Arc<AtomicUsize>,
    context: ConnectionContext,
}

impl Server {
    /// Binds the address of `options`. Must be called within a tokio runtime.
    pub fn bind(options: ServerOptions, clock: Arc<dyn Clock>) -> Result<Self, BindError> {
        let address = options.listen;
        let listener = listen(address).map_err(|cause| BindError::new(address, cause))?;
        let address = listener.local_addr().map_err(|cause| BindError::new(address, cause))?;
        let trusted = Arc::new(ArcSwap::from_pointee(options.trusted_proxies.clone()));
        let context = ConnectionContext { tls: None, trusted, drain_signal: DrainSignal::default() };
        Ok(Self { listener, address, options, clock, open: Arc::default(), context })
    }

    /// Serves TLS instead, if configured.
    #[must_use]
    pub fn encrypted(mut self, tls: Option<Arc<Tls>>) -> Self {
        self.context.tls = tls;
        self
    }

    /// Returns the trusted proxies, which can be replaced at any time.
    pub fn trusted_proxies(&self) -> Arc<ArcSwap<TrustedProxies>> {
        Arc::clone(&self.context.trusted)
    }

    /// Returns the drain signal: once it is set, every response closes its connection.
    pub fn drain_signal(&self) -> DrainSignal {
        self.context.drain_signal.clone()
    }

    /// Returns the number of open connections, updated while the server runs.
    pub fn open_connections(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.open)
    }

    /// Returns the bound address, with the port that the system chose for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves on the threads of `workers` until `shutdown` completes, and a moment longer. Then stops accepting, lets
    /// requests in flight finish within the drain timeout, closes the rest, and returns.
    pub async fn run<H: Handler>(self, handler: H, workers: &Workers, shutdown: impl Future<Output = ()>) -> Drained {
        let (max_connections, client_share) = (self.options.max_connections, self.options.client_share());
        let (shares, trusted) = (Shares::default(), self.trusted_proxies());
        let drain_timeout = self.options.drain_timeout;
        let options = self.options.clone();
        let (is_encrypted, drain_signal) = (self.context.tls.is_some(), self.drain_signal());
        let (clock, context) = (Arc::clone(&self.clock), self.context);
        let connections = Arc::new(Connections::new(handler, Arc::clone(&clock), self.options, context));
        let drain = CancellationToken::new();
        let mut open = JoinSet::new();
        let mut rejections = JoinSet::new();
        let mut shutdown = pin!(async {
            shutdown.await;
            drain_signal.begin();
            clock.sleep(MIN_DRAIN_TIME).await;
        });
        loop {
            self.open.store(open.len(), Ordering::Relaxed);
            let accepted = tokio::select! {
                () = shutdown.as_mut() => break,
                Some(ended) = open.join_next() => { log_panic(ended); continue }
                Some(_) = rejections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let Some((stream, peer)) = accepted_stream(accepted, self.clock.as_ref()).await else { continue };
            let has_room = open.len() < max_connections;
            let share = if trusted.load().contains(peer) {
                Ok(None)
            } else {
                shares.try_acquire(peer, client_share).map(Some).ok_or(())
            };
            if let (true, Ok(share)) = (has_room, share) {
                let (connections, drain) = (Arc::clone(&connections), drain.child_token());
                workers.serve(&mut open, stream, |stream| async move {
                    let _share = share;
                    connections.serve(stream, drain).await;
                });
            } else if rejections.len() < MAX_REJECTIONS && !is_encrypted {
                let (clock, options) = (Arc::clone(&self.clock), options.clone());
                let words = if has_room { CLIENT_LIMIT_REACHED } else { CONNECTION_LIMIT_REACHED };
                rejections.spawn(async move { reject(stream, clock, &options, words).await });
            }
        }
        drop(self.listener);
        drop(rejections);
        drain.cancel();
        finish(open, self.clock.as_ref(), drain_timeout).await
    }
}

/// Waits for the connections to end, for at most `limit`, then aborts the rest.
async fn finish(mut open: JoinSet<()>, clock: &dyn Clock, limit: Duration) -> Drained {
    let mut time_is_up = clock.sleep(limit);
    loop {
        tokio::select! {
            ended = open.join_next() => match ended {
                Some(ended) => log_panic(ended),
                None => return Drained { cut_off: 0 },
            },
            () = &mut time_is_up => break,
        }
    }
    let cut_off = open.len();
    open.shutdown().await;
    Drained { cut_off }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Otherwise a restart would wait until the system forgets the connections of the previous process.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accepted_stream(
    accepted: io::Result<(TcpStream, SocketAddr)>,
    clock: &dyn Clock,
) -> Option<(TcpStream, IpAddr)> {
    match accepted {
        Ok((stream, peer)) => {
            // Small responses must not wait for the acknowledgement of the previous one. A socket that is already
            // closed shows that at its first read.
            let _ = stream.set_nodelay(true);
            Some((stream, peer.ip()))
        }
        // The client disconnected before it was accepted.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => None,
        Err(error) => {
            tracing::warn!(%error, "cannot accept connections; if this lasts, raise the limit of open files");
            clock.sleep(ACCEPT_RETRY_DELAY).await;
            None
        }
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection panicked and was dropped");
    }
}

/// The drain signal: a draining server still serves requests, and each response tells its client to close the
/// connection.
#[derive(Debug, Clone, Default)]
pub struct DrainSignal(Arc<AtomicBool>);

impl DrainSignal {
    /// Starts the drain.
    pub fn begin(&self) {
        self.0.store(true, Relaxed);
    }

    /// Returns whether the drain has started.
    pub fn is_draining(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// The threads that serve connections; without any, connections run in the caller's runtime.
#[derive(Debug, Default)]
pub struct Workers {
    all: Vec<Worker>,
    stop: CancellationToken,
    threads: Vec<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Its open connections.
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` threads.
    pub fn start(count: usize) -> io::Result<Self> {
        let mut started = Self::default();
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            started.all.push(Worker { runtime: runtime.handle().clone(), connections: Arc::default() });
            let stop = started.stop.clone();
            let serve = move || {
                runtime.block_on(stop.cancelled());
            };
            started.threads.push(thread::Builder::new().name(format!("serve-{number}")).spawn(serve)?);
        }
        Ok(started)
    }

    /// Ends the threads, and the tasks that still run on them.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for thread in std::mem::take(&mut self.threads) {
            // A thread that panicked has ended, too.
            let _ = spawn_blocking(move || thread.join()).await;
        }
    }

    /// Serves a connection on the thread with the fewest; `connections` tracks its end.
    fn serve<F>(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let load = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let Some(worker) = self.all.iter().min_by_key(load) else {
            connections.spawn(serve(stream));
            return;
        };
        let counted = Counted::one_more(&worker.connections);
        let served = async move {
            let _counted = counted;
            // The runtime that registered a socket wakes it.
            match stream.into_std().and_then(TcpStream::from_std) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "cannot serve a connection"),
            }
        };
        connections.spawn_on(served, &worker.runtime);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Count of a connection while it is served.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one_more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
