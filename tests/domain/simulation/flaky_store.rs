//! The connection between a gateway and the object store: slow, sometimes very slow; responses are lost, requests
//! rejected, and some writes take effect late.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use larder::{
    clock::{Clock, Random, SeededRandom},
    storage::{
        ByteStream, Error, GetOptions, ListOptions, ListPage, Object, ObjectMeta, ObjectStore, Precondition,
        PutOptions, PutOutcome, Result, in_memory::InMemoryStore,
    },
};

use super::time::SimulatedClock;

/// Maximum size of any object here, in bytes.
const MUCH: u64 = 1 << 20;

/// The longest time after which a request whose connection is gone may take effect: what the domain counts on.
const LATE: Duration = Duration::from_secs(55);

/// Chance, with a few words for it.
#[derive(Debug)]
pub struct Rng(SeededRandom);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// Returns a number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % bound
    }

    /// Returns `true` for an event with a probability of `count` in a thousand.
    pub fn happens(&self, count: u64) -> bool {
        self.below(1000) < count
    }

    /// Returns a duration between these, in milliseconds.
    pub fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }
}

/// Fault rates of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// The longest time that a request, or its answer, usually takes, in milliseconds.
    pub usual_ms: u64,
    /// Of a thousand requests, so many take seconds.
    pub slow: u64,
    /// Of a thousand writes that steer, and copies, so many take up to a minute and a half.
    pub stalled: u64,
    /// Of a thousand requests, so many are refused.
    pub refused: u64,
    /// Of a thousand writes, so many are carried out without an answer.
    pub unanswered: u64,
    /// Of a thousand writes, so many are given up and take effect later.
    pub late: u64,
}

/// An object store at the end of such a line.
#[derive(Debug)]
pub struct FlakyStore {
    objects: Arc<InMemoryStore>,
    clock: Arc<SimulatedClock>,
    rng: Arc<Rng>,
    weather: Weather,
    steps: Arc<AtomicU64>,
    /// `true` once the gateway has crashed: then nothing gets through any more.
    is_cut_off: Arc<AtomicBool>,
}

/// A request, for those that take effect late.
enum Write {
    Put(String, bytes::Bytes, PutOptions),
    Delete(String, Precondition),
    Copy(String, String, Precondition),
}

impl FlakyStore {
    pub fn new(
        objects: Arc<InMemoryStore>,
        clock: Arc<SimulatedClock>,
        seed: u64,
        weather: Weather,
        steps: Arc<AtomicU64>,
        is_cut_off: Arc<AtomicBool>,
    ) -> Self {
        Self { objects, clock, rng: Arc::new(Rng::new(seed)), weather, steps, is_cut_off }
    }

    async fn travel(&self, may_stall: bool) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        let time = if may_stall && self.rng.happens(self.weather.stalled) {
            self.rng.millis(14_000, 90_000)
        } else if self.rng.happens(self.weather.slow) {
            self.rng.millis(1_000, 14_000)
        } else {
            self.rng.millis(5, self.weather.usual_ms)
        };
        self.clock.sleep(time).await;
        if self.is_cut_off.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    fn refuse(&self) -> Result<()> {
        if self.rng.happens(self.weather.refused) { Err(Error::Throttled { retry_after: None }) } else { Ok(()) }
    }

    async fn read<T>(&self, read: impl Future<Output = Result<T>>) -> Result<T> {
        self.travel(false).await;
        self.refuse()?;
        let found = read.await;
        self.travel(false).await;
        found
    }

    async fn write(&self, write: Write) -> Result<Option<PutOutcome>> {
        let steers = match &write {
            Write::Put(key, ..) => key.starts_with("larder/stores/"),
            Write::Delete(..) => false,
            Write::Copy(..) => true,
        };
        self.travel(steers).await;
        self.refuse()?;
        if self.rng.happens(self.weather.late) {
            let (objects, clock, rng) = (Arc::clone(&self.objects), Arc::clone(&self.clock), Arc::clone(&self.rng));
            tokio::spawn(async move {
                clock.sleep(rng.millis(0, LATE.as_millis().try_into().unwrap_or(u64::MAX))).await;
                let _ = carry_out(&objects, write).await;
            });
            return Err(Error::Timeout);
        }
        let done = carry_out(&self.objects, write).await;
        if self.rng.happens(self.weather.unanswered) {
            return Err(Error::Unavailable("the answer is lost".into()));
        }
        self.travel(steers).await;
        done
    }
}

async fn carry_out(objects: &InMemoryStore, write: Write) -> Result<Option<PutOutcome>> {
    match write {
        Write::Put(key, bytes, options) => objects.put(&key, ByteStream::from(bytes), options).await.map(Some),
        Write::Delete(key, precondition) => objects.delete(&key, precondition).await.map(|()| None),
        Write::Copy(from, to, precondition) => objects.copy(&from, &to, precondition).await.map(Some),
    }
}

#[async_trait]
impl ObjectStore for FlakyStore {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        let bytes = body.into_bytes(MUCH).await.map_err(Error::Body)?;
        let outcome = self.write(Write::Put(key.to_owned(), bytes, options)).await?;
        outcome.ok_or(Error::NotFound)
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.read(self.objects.get(key, options)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.read(self.objects.head(key)).await
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.write(Write::Delete(key.to_owned(), precondition)).await.map(drop)
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.read(self.objects.delete_many(keys)).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.read(self.objects.list(options)).await
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        let outcome = self.write(Write::Copy(from.to_owned(), to.to_owned(), precondition)).await?;
        outcome.ok_or(Error::NotFound)
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
