//! An object store whose calls wait until they are let through, before they reach it and before they are answered.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use larder::storage::{
    ByteStream, GetOptions, ListOptions, ListPage, Object, ObjectMeta, ObjectStore, Precondition, PutOptions,
    PutOutcome, Result, in_memory::InMemoryStore,
};
use tokio::sync::oneshot;

/// Number of yields of the driver before it takes every task for waiting.
const MAX_YIELDS: usize = 24;

/// Gate that holds calls back.
#[derive(Debug, Default)]
pub struct Gate(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    is_closed: bool,
    /// Arrivals so far, while the gate was closed.
    arrivals: u64,
    /// Those that wait, by the number of their arrival.
    held: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits here, if the gate is closed, until it is let through.
    async fn pass(&self) {
        let passage = {
            let mut waiting = self.lock();
            if !waiting.is_closed {
                return;
            }
            let (open, opened) = oneshot::channel();
            let number = waiting.arrivals;
            waiting.arrivals += 1;
            waiting.held.insert(number, open);
            opened
        };
        let _ = passage.await;
    }

    /// Holds back what arrives from now on, or lets it through. Those that wait go on waiting.
    pub fn close(&self, is_closed: bool) {
        self.lock().is_closed = is_closed;
    }

    /// Returns the number of calls that have arrived.
    pub fn arrivals(&self) -> u64 {
        self.lock().arrivals
    }

    /// Returns the numbers of those that wait.
    pub fn waiting(&self) -> Vec<u64> {
        self.lock().held.keys().copied().collect()
    }

    /// Lets one through.
    pub fn release(&self, number: u64) {
        if let Some(open) = self.lock().held.remove(&number) {
            let _ = open.send(());
        }
    }

    /// Lets all calls through, now and later.
    pub fn open(&self) {
        self.close(false);
        let held = std::mem::take(&mut self.lock().held);
        for open in held.into_values() {
            let _ = open.send(());
        }
    }

    /// Lets every task go on until it waits.
    pub async fn settle(&self) {
        let (mut calm, mut seen) = (0, self.arrivals());
        while calm < MAX_YIELDS {
            tokio::task::yield_now().await;
            let arrivals = self.arrivals();
            calm = if arrivals == seen { calm + 1 } else { 0 };
            seen = arrivals;
        }
    }
}

/// An object store behind a gate.
#[derive(Debug)]
pub struct Gated {
    pub objects: Arc<InMemoryStore>,
    pub gate: Arc<Gate>,
}

impl Gated {
    async fn through<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.gate.pass().await;
        let answer = call.await;
        self.gate.pass().await;
        answer
    }
}

#[async_trait]
impl ObjectStore for Gated {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        self.through(self.objects.put(key, body, options)).await
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.through(self.objects.get(key, options)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.through(self.objects.head(key)).await
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.through(self.objects.delete(key, precondition)).await
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.through(self.objects.delete_many(keys)).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.through(self.objects.list(options)).await
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        self.through(self.objects.copy(from, to, precondition)).await
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
