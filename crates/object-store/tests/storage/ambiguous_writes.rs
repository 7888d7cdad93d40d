//! A single writer over an object store that applies unanswered writes late: they undo no acknowledged one.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use larder_object_store::{
    ByteStream, Error, GetOptions, ListOptions, ListPage, Object, ObjectMeta, ObjectStore, Precondition, PutOptions,
    PutOutcome, Result,
    in_memory::InMemoryStore,
    single_writer::{IN_DOUBT_WINDOW, SingleWriterStore},
};
use larder_runtime::clock::{Clock, ManualClock, Random, SeededRandom, Timestamp};

use crate::values::{MUCH, provided, read, stream_of, value};

/// Writes of one seed.
const WRITES: u64 = 150;

/// Seeds; each is a story that can be repeated.
const SEEDS: u64 = 40;

/// Writes of a hundred that are not answered.
const UNANSWERED_PERCENT: usize = 30;

const KEYS: [&str; 3] = ["a", "b", "c"];

/// A write that was sent, and the time of its effect.
#[derive(Debug, Clone)]
enum Sent {
    Put(String, Bytes, PutOptions),
    Delete(String),
}

/// An object store without conditions that leaves writes unanswered: they take effect at once, late, or never.
#[derive(Debug)]
struct Late {
    memory: InMemoryStore,
    clock: Arc<ManualClock>,
    dice: SeededRandom,
    due: Mutex<Vec<(Duration, Sent)>>,
}

impl Late {
    fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.dice.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % bound as u64).unwrap()
    }

    async fn take_effect(&self, sent: Sent) -> Result<Option<PutOutcome>> {
        match sent {
            Sent::Put(key, bytes, options) => {
                assert_eq!(options.precondition, Precondition::None, "it has no conditions");
                self.memory.put(&key, bytes.into(), options).await.map(Some)
            }
            Sent::Delete(key) => self.memory.delete(&key, Precondition::None).await.map(|()| None),
        }
    }

    /// Applies the due writes.
    async fn arrive(&self) {
        let now = self.clock.monotonic();
        let arrived: Vec<_> = self.due.lock().unwrap().extract_if(.., |(due, _)| *due <= now).collect();
        for (_, sent) in arrived {
            self.take_effect(sent).await.unwrap();
        }
    }

    async fn receive(&self, sent: Sent) -> Result<Option<PutOutcome>> {
        self.arrive().await;
        if self.below(100) >= UNANSWERED_PERCENT {
            return self.take_effect(sent).await;
        }
        match self.below(4) {
            0 => drop(self.take_effect(sent).await?),
            1 => {}
            _ => {
                // The longest that the contract of a single writer allows for.
                let delay = Duration::from_millis(self.below(60_000) as u64);
                self.due.lock().unwrap().push((self.clock.monotonic() + delay, sent));
            }
        }
        Err(Error::Timeout)
    }
}

#[async_trait]
impl ObjectStore for Late {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        let bytes = body.into_bytes(MUCH).await.map_err(Error::Body)?;
        Ok(self.receive(Sent::Put(key.to_owned(), bytes, options)).await?.expect("a put has an outcome"))
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.arrive().await;
        self.memory.get(key, options).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.arrive().await;
        self.memory.head(key).await
    }

    async fn delete(&self, key: &str, _: Precondition) -> Result<()> {
        self.receive(Sent::Delete(key.to_owned())).await.map(drop)
    }

    async fn delete_many(&self, _: Vec<String>) -> Result<()> {
        Err(Error::Unsupported("unused in this test"))
    }

    async fn list(&self, _: ListOptions) -> Result<ListPage> {
        Err(Error::Unsupported("unused in this test"))
    }

    async fn copy(&self, _: &str, _: &str, _: Precondition) -> Result<PutOutcome> {
        Err(Error::Unsupported("unused in this test"))
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Possible states of a key: the last acknowledged one, and those of all unanswered writes since.
type Possible = HashSet<Option<Bytes>>;

struct Story {
    late: Arc<Late>,
    store: SingleWriterStore<Late>,
    possible: HashMap<&'static str, Possible>,
    answered: usize,
    barred: usize,
}

impl Story {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let memory = InMemoryStore::new(clock.clone());
        let late = Late { memory, clock: clock.clone(), dice: SeededRandom::new(seed), due: Mutex::default() };
        let late = Arc::new(late);
        let possible = KEYS.iter().map(|key| (*key, Possible::from([None]))).collect();
        Self { store: SingleWriterStore::new(late.clone(), clock), late, possible, answered: 0, barred: 0 }
    }

    async fn found(&self, key: &str) -> Option<Bytes> {
        self.late.arrive().await;
        match read(&self.late.memory, key).await {
            Ok(bytes) => Some(bytes),
            Err(Error::NotFound) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// One write under the condition that nothing has changed since it was looked at.
    async fn write(&mut self, number: u64) -> Result<()> {
        let key = KEYS[self.late.below(KEYS.len())];
        let seen = self.late.memory.head(key).await.ok().map(|meta| meta.etag);
        let precondition = seen.map_or(Precondition::IfAbsent, Precondition::IfMatch);
        let is_delete = matches!(precondition, Precondition::IfMatch(_)) && self.late.below(4) == 0;
        let new = if is_delete { None } else { Some(value(number, 100)) };
        let is_streamed = self.late.below(4) == 0;
        let answer = {
            let call = async {
                match &new {
                    None => self.store.delete(key, precondition).await,
                    Some(bytes) => {
                        let body = if is_streamed { stream_of(bytes) } else { bytes.clone().into() };
                        self.store.put(key, body, provided(precondition)).await.map(drop)
                    }
                }
            };
            let moving = async {
                loop {
                    tokio::task::yield_now().await;
                    self.late.clock.advance(Duration::from_millis(100));
                }
            };
            tokio::select! {
                biased;
                answer = call => answer,
                () = moving => unreachable!("it never ends"),
            }
        };
        match &answer {
            Ok(()) => {
                self.possible.insert(key, Possible::from([new]));
                self.answered += 1;
            }
            Err(Error::Timeout | Error::Unavailable(_)) => {
                self.possible.get_mut(key).unwrap().insert(new);
            }
            // Nothing of it was written, whatever comes.
            Err(Error::Throttled { .. }) => self.barred += 1,
            Err(Error::Precondition) => {}
            Err(error) => panic!("{error:?}"),
        }
        answer
    }
}

#[tokio::test]
async fn what_was_answered_is_not_undone_by_what_arrives_late() {
    let (mut answered, mut barred) = (0, 0);
    for seed in 0..SEEDS {
        let mut story = Story::new(seed);
        for number in 0..WRITES {
            let answer = story.write(number).await;
            let pause = Duration::from_millis(story.late.below(20_000) as u64);
            for _ in 0..2 {
                for key in KEYS {
                    let (found, possible) = (story.found(key).await, &story.possible[key]);
                    assert!(possible.contains(&found), "seed {seed}, write {number} ({answer:?}): {key} was undone");
                }
                story.late.clock.advance(pause);
            }
        }
        story.late.clock.advance(IN_DOUBT_WINDOW);
        for key in KEYS {
            assert!(story.possible[key].contains(&story.found(key).await), "seed {seed}: {key} was undone at last");
        }
        answered += story.answered;
        barred += story.barred;
    }
    assert!(answered > 1000 && barred > 100, "too little happened: {answered} answered, {barred} barred");
}
