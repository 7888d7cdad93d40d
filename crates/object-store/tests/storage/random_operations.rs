//! Random operations against the embedded engine and the reference side by side: both must respond alike, whatever came
//! before, and also after the engine was closed and opened again.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use larder_object_store::{
    Attributes, BodyError, ByteRange, ByteStream, ETag, GetOptions, ListOptions, ObjectStore, Precondition, PutOptions,
    embedded::INLINE_LIMIT, in_memory::InMemoryStore,
};
use larder_runtime::clock::{ManualClock, Random, SeededRandom, Timestamp};
use tempfile::TempDir;

use crate::{
    stores,
    values::{MUCH, broken, stream_of, typed, value},
};

/// Operations of one seed.
const OPERATIONS: usize = 250;
/// Seeds; each is a test case of its own that can be repeated.
const SEEDS: u64 = 12;
/// Operations after which the engine is closed and opened again.
const REOPEN_EVERY: usize = 40;

/// Chooses, the same for the same seed.
pub struct Dice(pub SeededRandom);

impl Dice {
    pub fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % bound as u64).unwrap()
    }

    pub fn one_of<T: Clone>(&self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    fn key(&self) -> String {
        self.one_of(&["a", "a/b", "a/b/c", "a/bc", "a0", "b", "b/'", "c/d", "c/d!", "~"]).to_owned()
    }

    fn size(&self) -> usize {
        let sizes = [0, 1, 100, 256, 257, 5000, INLINE_LIMIT - 1, INLINE_LIMIT, INLINE_LIMIT + 1, 200_000, 600_000];
        self.one_of(&sizes)
    }

    fn attributes(&self) -> Attributes {
        let content_encoding = self.one_of(&[None, None, Some("gzip".to_owned())]);
        Attributes { content_encoding, ..typed(self.one_of(&["", "text/plain", "image/png"])) }
    }

    fn precondition(&self, seen: &[ETag]) -> Precondition {
        match self.below(4) {
            0 if !seen.is_empty() => {
                Precondition::IfMatch(seen[seen.len() - 1 - self.below(seen.len().min(6))].clone())
            }
            1 => Precondition::IfAbsent,
            _ => Precondition::None,
        }
    }

    fn range(&self) -> Option<ByteRange> {
        let (first, last) = (self.size() as u64 / 2, self.size() as u64);
        match self.below(5) {
            0 => Some(ByteRange::Bounded { first: first.min(last), last: first.max(last) }),
            1 => Some(ByteRange::From(first)),
            2 => Some(ByteRange::Suffix(last)),
            _ => None,
        }
    }
}

/// One operation; created for each of the two stores, since bodies are consumed.
#[derive(Debug, Clone)]
enum Step {
    Put { key: String, seed: u64, size: usize, form: usize, options: PutOptions },
    Get { key: String, range: Option<ByteRange> },
    Head { key: String },
    Delete { key: String, precondition: Precondition },
    DeleteMany { keys: Vec<String> },
    List { prefix: String, start_after: Option<String>, limit: usize },
    Copy { from: String, to: String, precondition: Precondition },
}

impl Step {
    fn draw(dice: &Dice, number: usize, seen: &[ETag]) -> Self {
        match dice.below(12) {
            0..5 => Self::Put {
                key: dice.key(),
                seed: number as u64 % 40,
                size: dice.size(),
                form: dice.below(4),
                options: PutOptions { attributes: dice.attributes(), precondition: dice.precondition(seen) },
            },
            5..7 => Self::Get { key: dice.key(), range: dice.range() },
            7 => Self::Head { key: dice.key() },
            8 => Self::Delete { key: dice.key(), precondition: dice.precondition(seen) },
            9 => Self::Copy { from: dice.key(), to: dice.key(), precondition: dice.precondition(seen) },
            10 => Self::DeleteMany { keys: (0..dice.below(4)).map(|_| dice.key()).collect() },
            _ => {
                let prefix = dice.one_of(&["", "a", "a/", "a/b", "c/", "x"]).to_owned();
                let start_after = Some(dice.key()).filter(|key| key.starts_with(&prefix) && dice.below(2) == 0);
                Self::List { prefix, start_after, limit: 1 + dice.below(12) }
            }
        }
    }

    /// Returns the store's outcome, as a text that can be compared.
    async fn run(self, store: &dyn ObjectStore) -> Result<String, String> {
        let say = |error: larder_object_store::Error| format!("{error:?}");
        Ok(match self {
            Self::Put { key, seed, size, form, options } => {
                let bytes = value(seed, size);
                let body = match form {
                    0 => ByteStream::from(bytes),
                    1 => stream_of(&bytes),
                    2 => broken(Some(bytes.len() as u64), &bytes, None),
                    _ => broken(None, &bytes, Some(BodyError::Aborted)),
                };
                format!("{:?}", store.put(&key, body, options).await.map_err(say)?)
            }
            Self::Get { key, range } => {
                let object = store.get(&key, GetOptions { range }).await.map_err(say)?;
                let bytes = object.body.into_bytes(MUCH).await.map_err(|error| format!("{error:?}"))?;
                let mut hash = DefaultHasher::new();
                bytes.hash(&mut hash);
                format!("{:?} {:?} {:x}", object.meta, object.range, hash.finish())
            }
            Self::Head { key } => format!("{:?}", store.head(&key).await.map_err(say)?),
            Self::Delete { key, precondition } => {
                format!("{:?}", store.delete(&key, precondition).await.map_err(say)?)
            }
            Self::DeleteMany { keys } => format!("{:?}", store.delete_many(keys).await.map_err(say)?),
            Self::List { prefix, start_after, limit } => {
                format!("{:?}", store.list(ListOptions { prefix, start_after, limit }).await.map_err(say)?)
            }
            Self::Copy { from, to, precondition } => {
                format!("{:?}", store.copy(&from, &to, precondition).await.map_err(say)?)
            }
        })
    }
}

async fn run_alike(seed: u64) {
    let (dice, folder) = (Dice(SeededRandom::new(seed)), TempDir::new().unwrap());
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let reference = InMemoryStore::new(clock.clone());
    let mut engine = stores::open(folder.path(), clock.clone()).unwrap();
    let mut etags = Vec::new();
    for number in 0..OPERATIONS {
        clock.advance(std::time::Duration::from_millis(dice.below(3) as u64));
        if number % REOPEN_EVERY == REOPEN_EVERY - 1 {
            if dice.below(2) == 0 {
                engine.close().await;
            }
            drop(engine);
            engine = stores::open(folder.path(), clock.clone()).unwrap();
        }
        let step = Step::draw(&dice, number, &etags);
        let expected = step.clone().run(&reference).await;
        let found = step.clone().run(&engine).await;
        assert!(found == expected, "seed {seed}, operation {number}, {step:?}: {found:?} instead of {expected:?}");
        if let Step::Put { key, .. } = step
            && let Ok(meta) = reference.head(&key).await
        {
            etags.push(meta.etag);
        }
    }
    engine.close().await;
    let live = reference.list(ListOptions { limit: 1000, ..ListOptions::default() }).await.unwrap().objects;
    let large = live.iter().filter(|object| object.size > INLINE_LIMIT as u64).count();
    let left = crate::embedded_folder::files_in(&folder.path().join("blobs")).len();
    assert_eq!(left, large, "seed {seed}: files are left that belong to no object");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_answers_like_the_reference() {
    for seed in 0..SEEDS {
        run_alike(seed).await;
    }
}
