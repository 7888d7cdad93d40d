//! Copies every object of the source, and compares the copies with it.
//!
//! Objects are streamed with their attributes, several at once. The comparison is of names and sizes, and by default
//! of all bytes and attributes, reread on both sides.

use std::{cmp::Ordering, collections::VecDeque};

use futures_util::{Stream, StreamExt, TryStreamExt, stream, try_join};

use crate::{
    clock::{Clock, Timestamp},
    kv::{MigrationStep, may_expire},
    storage::{
        self, ByteStream, ContentHasher, Error, GetOptions, ListedObject, ObjectStore, Precondition, PutOptions,
    },
};

use super::{
    checkpoints::Checkpoints,
    error::{MigrationError, with_retry},
    survey::{Walk, prefixes_after},
};

/// Maximum number of objects processed concurrently.
pub(super) const CONCURRENCY: usize = 32;

/// Copies the objects after the last checkpoint.
pub(super) async fn copy(
    from: &dyn ObjectStore,
    to: &dyn ObjectStore,
    clock: &dyn Clock,
    mut checkpoints: Checkpoints<'_>,
) -> Result<(), MigrationError> {
    for part in prefixes_after(checkpoints.after()) {
        let mut walk = Walk::new(from, clock, part);
        while let Some(page) = walk.next().await? {
            let copies = stream::iter(page).map(async |object| {
                let copied = with_retry(clock, async || copy_object(from, to, &object.key).await).await;
                (object.key, copied)
            });
            // In key order, so everything before a checkpoint is copied.
            let mut copies = std::pin::pin!(copies.buffered(CONCURRENCY));
            while let Some((key, copied)) = copies.next().await {
                match copied {
                    Ok(bytes) => checkpoints.done(key, bytes).await?,
                    Err(cause) => return Err(MigrationError::Object { key, cause }),
                }
            }
        }
    }
    Ok(checkpoints.begin_step(MigrationStep::Verifying).await?)
}

/// Copies an object and returns its size. An object that a lifecycle rule has deleted since it was listed has none.
async fn copy_object(from: &dyn ObjectStore, to: &dyn ObjectStore, key: &str) -> Result<u64, Error> {
    let object = match from.get(key, GetOptions::default()).await {
        Ok(object) => object,
        Err(Error::NotFound) => return Ok(0),
        Err(error) => return Err(error),
    };
    let size = object.meta.size;
    let body = if object.body.length().is_some() { object.body } else { ByteStream::new(Some(size), object.body) };
    let options = PutOptions { attributes: object.meta.attributes, precondition: Precondition::None };
    to.put(key, body, options).await?;
    Ok(size)
}

/// Maximum number of differences that are reported.
const MAX_EXAMPLES: usize = 20;

/// Extent of the comparison at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verification {
    /// All bytes and attributes, reread on both sides.
    #[default]
    Contents,
    /// Names and sizes of objects.
    Sizes,
}

/// Both sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides<'a> {
    /// The source.
    pub(super) from: &'a dyn ObjectStore,
    /// True if lifecycle rules delete objects of the source meanwhile.
    pub(super) has_rules: bool,
    /// The destination.
    pub(super) to: &'a dyn ObjectStore,
    /// The clock.
    pub(super) clock: &'a dyn Clock,
    /// Extent of the comparison.
    pub(super) verification: Verification,
}

/// An object on both sides, or on one of them, with its size there.
#[derive(Debug, PartialEq, Eq)]
struct Pair {
    key: String,
    /// Time of its last write at the source.
    written_at: Option<Timestamp>,
    from: Option<u64>,
    to: Option<u64>,
}

/// Compares the objects after the last checkpoint. If anything differs, the next attempt copies everything again.
pub(super) async fn verify(sides: Sides<'_>, mut checkpoints: Checkpoints<'_>) -> Result<(), MigrationError> {
    let (mut count, mut examples, latest) = (0, Vec::new(), checkpoints.latest());
    for part in prefixes_after(checkpoints.after()) {
        let compared = pairs(sides, part).map_ok(|pair| async move {
            let wrong = sides
                .difference(&pair, latest)
                .await
                .map_err(|cause| MigrationError::Object { key: pair.key.clone(), cause });
            Ok((pair, wrong?))
        });
        let mut compared = std::pin::pin!(compared.try_buffered(CONCURRENCY));
        while let Some((pair, wrong)) = compared.try_next().await? {
            if let Some(wrong) = wrong {
                count += 1;
                if examples.len() < MAX_EXAMPLES {
                    examples.push(format!("{}: {wrong}", pair.key));
                }
            } else if count == 0 {
                checkpoints.done(pair.key, pair.from.unwrap_or_default()).await?;
            }
        }
    }
    if count > 0 {
        checkpoints.discard_copies().await?;
        return Err(MigrationError::Differs { count, examples });
    }
    Ok(())
}

impl Sides<'_> {
    /// Describes the difference of an object, if any.
    async fn difference(self, pair: &Pair, latest: Timestamp) -> storage::Result<Option<&'static str>> {
        if pair.written_at.is_some_and(|at| at > latest) {
            return Ok(Some("it was written at the source since the migration began"));
        }
        let is_excused = self.has_rules && may_expire(&pair.key);
        match (pair.from, pair.to) {
            (Some(_), None) if is_excused && self.is_gone(&pair.key).await? => Ok(None),
            (Some(_), None) => Ok(Some("it is missing")),
            (None, Some(_)) if is_excused => {
                with_retry(self.clock, async || self.to.delete(&pair.key, Precondition::None).await).await?;
                Ok(None)
            }
            (None, Some(_)) => Ok(Some("the source has no such object")),
            (Some(from), Some(to)) if from != to => Ok(Some("it has another size")),
            (Some(_), Some(_)) if self.verification == Verification::Contents => {
                self.compare_contents(pair, is_excused).await
            }
            (Some(_), Some(_)) | (None, None) => Ok(None),
        }
    }

    async fn is_gone(self, key: &str) -> storage::Result<bool> {
        match with_retry(self.clock, async || self.from.head(key).await).await {
            Ok(_) => Ok(false),
            Err(Error::NotFound) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn compare_contents(self, pair: &Pair, is_excused: bool) -> storage::Result<Option<&'static str>> {
        let read = async |objects| with_retry(self.clock, async || fingerprint_of(objects, &pair.key).await).await;
        match try_join!(read(self.from), read(self.to))? {
            (None, _) if is_excused => Ok(None),
            (from, to) if from == to => Ok(None),
            _ => Ok(Some("it has other contents")),
        }
    }
}

/// Returns the digest of an object's bytes and attributes; `None` if it is missing.
async fn fingerprint_of(objects: &dyn ObjectStore, key: &str) -> storage::Result<Option<u128>> {
    let mut object = match objects.get(key, GetOptions::default()).await {
        Ok(object) => object,
        Err(Error::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut hash = ContentHasher::new();
    while let Some(chunk) = object.body.next().await {
        hash.update(&chunk.map_err(Error::Body)?);
    }
    Ok(Some(hash.finish(&object.meta.attributes)))
}

/// A walk with one object of lookahead.
struct Cursor<'a> {
    walk: Walk<'a>,
    page: VecDeque<ListedObject>,
}

impl<'a> Cursor<'a> {
    fn new(walk: Walk<'a>) -> Self {
        Self { walk, page: VecDeque::new() }
    }

    async fn fill(&mut self) -> Result<(), MigrationError> {
        while self.page.is_empty() {
            let Some(page) = self.walk.next().await? else { break };
            self.page = page.into();
        }
        Ok(())
    }
}

/// Merges both sides' objects below a prefix.
fn pairs<'a>(
    sides: Sides<'a>,
    (prefix, after): (&'static str, Option<String>),
) -> impl Stream<Item = Result<Pair, MigrationError>> + 'a {
    let cursor = |objects, after| Cursor::new(Walk::new(objects, sides.clock, (prefix, after)));
    let both = (cursor(sides.from, after.clone()), cursor(sides.to, after));
    stream::try_unfold(both, |(mut from, mut to)| async move {
        from.fill().await?;
        to.fill().await?;
        let order = match (from.page.front(), to.page.front()) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.key.cmp(&other.key),
        };
        let one = if order.is_le() { from.page.pop_front() } else { None };
        let other = if order.is_ge() { to.page.pop_front() } else { None };
        let written_at = one.as_ref().map(|object| object.last_modified);
        let [size, size_there] = [&one, &other].map(|object| object.as_ref().map(|object| object.size));
        let key = one.or(other).map(|object| object.key).unwrap_or_default();
        Ok(Some((Pair { key, written_at, from: size, to: size_there }, (from, to))))
    })
}
