//! The proxy itself: its port, its connections, and what a test asks of it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::TcpListener, select, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::connection::{Line, serve};
use super::faults::{Armed, Ending, Fault, Log, Plan, Request, Times};

/// Interval between two checks at an ending connection.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A running proxy; it ends with all its connections when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    parts: Arc<Parts>,
    accepting: Mutex<Option<Accepting>>,
}

/// State shared by connections.
#[derive(Default)]
struct Parts {
    store: String,
    log: Log,
    plan: Arc<Plan>,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    accepted: u64,
    open: BTreeMap<u64, (Arc<Line>, CancellationToken)>,
}

struct Accepting {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts one on a free port of this machine before the object store at an address such as `http://127.0.0.1:8333`.
    pub(crate) async fn before(endpoint: &str) -> Self {
        let store = endpoint.strip_prefix("http://").expect("the proxy reads what is on the wire: no TLS");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system has a port");
        let address = listener.local_addr().expect("it is bound");
        let parts = Parts { store: store.trim_end_matches('/').to_owned(), ..Parts::default() };
        let proxy = Self { address, parts: Arc::new(parts), accepting: Mutex::default() };
        proxy.accept_from(listener);
        proxy
    }

    /// Returns the address it listens on, as a gateway's setting for its object store.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests that came since it started, or since they were last taken, in the order in which they came.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.parts.log.all()
    }

    /// The same; from here on they are forgotten.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        self.parts.log.take()
    }

    /// Returns the number of connections it ever accepted.
    pub(crate) fn accepted_connections(&self) -> u64 {
        self.parts.lines(|lines| lines.accepted)
    }

    /// Returns the number of open connections.
    pub(crate) fn open_connections(&self) -> usize {
        self.parts.lines(|lines| lines.open.len())
    }

    /// From here on, requests that `is_meant` is true of meet with a fault. A request meets with one at most: the first
    /// armed of those meant for it.
    pub(crate) fn arm(
        &self,
        fault: Fault,
        times: Times,
        is_meant: impl Fn(&Request) -> bool + Send + 'static,
    ) -> Armed {
        self.parts.plan.arm(fault, times, is_meant)
    }

    /// Ends all connections that are between two requests, and gives their number.
    pub(crate) async fn end_idle_connections(&self, ending: Ending) -> usize {
        let told: Vec<u64> = self.parts.lines(|lines| {
            let told = lines.open.iter().filter(|(_, (line, _))| line.end_if_idle(ending));
            told.map(|(number, _)| *number).collect()
        });
        self.until_gone(&told).await;
        told.len()
    }

    /// Ends all connections, whatever they are at, and gives their number.
    pub(crate) async fn end_connections(&self) -> usize {
        let told: Vec<u64> = self.parts.lines(|lines| {
            lines.open.values().for_each(|(_, stop)| stop.cancel());
            lines.open.keys().copied().collect()
        });
        self.until_gone(&told).await;
        told.len()
    }

    /// Refuses new connections from here on; those that are open go on.
    pub(crate) async fn refuse_connections(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Accepting { stop, task }) = accepting {
            stop.cancel();
            // The port is free once the task is gone with its listener.
            task.await.expect("it does not panic");
        }
    }

    /// Accepts connections again, at the same address.
    pub(crate) async fn accept_connections(&self) {
        self.refuse_connections().await;
        self.accept_from(TcpListener::bind(self.address).await.expect("the port is still free"));
    }

    fn accept_from(&self, listener: TcpListener) {
        let stop = CancellationToken::new();
        let task = tokio::spawn(accept(listener, Arc::clone(&self.parts), stop.clone()));
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Accepting { stop, task });
    }

    async fn until_gone(&self, numbers: &[u64]) {
        while self.parts.lines(|lines| numbers.iter().any(|number| lines.open.contains_key(number))) {
            sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.get_mut().unwrap_or_else(PoisonError::into_inner) {
            accepting.stop.cancel();
        }
        self.parts.lines(|lines| lines.open.values().for_each(|(_, stop)| stop.cancel()));
    }
}

impl Parts {
    fn lines<T>(&self, work: impl FnOnce(&mut Lines) -> T) -> T {
        work(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn accept(listener: TcpListener, parts: Arc<Parts>, stop: CancellationToken) {
    loop {
        let gateway = select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted.expect("there is room for one more").0,
        };
        let line = Arc::new(Line::default());
        let stop = CancellationToken::new();
        let number = parts.lines(|lines| {
            lines.accepted += 1;
            lines.open.insert(lines.accepted, (Arc::clone(&line), stop.clone()));
            lines.accepted
        });
        let parts = Arc::clone(&parts);
        tokio::spawn(async move {
            select! {
                () = stop.cancelled() => {}
                () = serve(gateway, &parts.store, number, &line, &parts.log, &parts.plan) => {}
            }
            parts.lines(|lines| lines.open.remove(&number));
        });
    }
}
