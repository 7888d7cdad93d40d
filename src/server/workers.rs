//! The threads that serve connections.
//!
//! Each has a runtime of its own and drives the connections it was given from their first byte to their last, with whatever
//! they ask of others: so no request is handed from thread to thread, and none of its steps has to wake another one. (One
//! runtime over all threads wakes a second one for every third request under full load, and for each half of most requests
//! under little: docs/PERFORMANCE.md.)

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
    task::{JoinSet, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

/// The threads that serve connections; without any, whoever serves does so in his own runtime.
#[derive(Debug, Default)]
pub struct Workers {
    all: Vec<Worker>,
    stop: CancellationToken,
    threads: Vec<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Connections that it was given and that have not ended.
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

    /// Ends the threads, and with them whatever they still work on.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for thread in std::mem::take(&mut self.threads) {
            // One that panicked has ended, too.
            let _ = spawn_blocking(move || thread.join()).await;
        }
    }

    /// Serves a connection on the thread that has fewest of them; `connections` knows when it has ended.
    pub(super) fn serve<F>(
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
            // A socket is woken by the runtime in which it was made.
            match stream.into_std().and_then(TcpStream::from_std) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "a connection cannot be served"),
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

/// A connection, as long as it is served.
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
