//! The threads that serve connections.
//!
//! Each has a runtime of its own and drives its connections from their first byte to their last, with all calls to
//! other modules. So no request moves between threads, and no step wakes another thread. (One runtime over all threads
//! wakes a second one for every third request under full load, and for each half of most requests under little:
//! docs/PERFORMANCE.md.)

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
