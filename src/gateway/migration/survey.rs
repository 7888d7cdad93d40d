//! Survey of source and destination before a migration, and walks through their objects.
//!
//! A walk has the same order at the source, at the destination and after an interruption.

use sha2::{Digest, Sha256};

use crate::{
    auth,
    clock::{Clock, ClockRecord, Timestamp},
    kv::{self, is_backend_specific, read_json},
    runs,
    storage::{
        self, Error, GetOptions, ListOptions, ListedObject, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore,
        diagnostics::PROBES, s3::CAPABILITIES_KEY,
    },
};

use super::{
    super::bootstrap::AdminToken,
    checkpoints::{MigrationPhase, MigrationProgress},
    error::{MigrationError, with_retry},
    run::End,
};

/// Prefix of all keys of an installation.
const ROOT: &str = "larder/";

/// Maximum size in bytes of an object that is read as a whole.
const MAX_BYTES: u64 = 64 * 1024;

/// Age of the clock record from which no gateway is writing it: each gateway reads it every few seconds, and writes
/// it once it is a minute old.
const STALE_SECS: u64 = 100;

/// Interval between reads of the record.
const IDLE_CHECK_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// Objects and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount {
    /// Number of objects.
    pub(super) objects: u64,
    /// Bytes in them.
    pub(super) bytes: u64,
    /// The latest change of any of them.
    pub(super) latest: Timestamp,
}

/// Counts the objects to move, and rejects a source with objects that would be left behind.
pub(super) async fn count(
    from: &End,
    clock: &dyn Clock,
    progress: &MigrationProgress,
) -> Result<Amount, MigrationError> {
    progress.begin(MigrationPhase::Counting);
    let objects = from.objects.as_ref();
    let mut amount = Amount { objects: 0, bytes: 0, latest: Timestamp::from_millis(0) };
    for part in prefixes_after(None) {
        let mut walk = Walk::new(objects, clock, part);
        while let Some(page) = walk.next().await? {
            for object in page {
                amount.objects += 1;
                amount.bytes += object.size;
                amount.latest = amount.latest.max(object.last_modified);
                progress.add(object.size);
            }
        }
    }
    // Some object stores do not list everything in byte order, and some may omit objects: any object found counts.
    match find(objects, clock, |key| !is_moved(key) && !stays_behind(key)).await? {
        Some(key) => Err(MigrationError::UnknownObject { name: from.name.clone(), key }),
        None => Ok(amount),
    }
}

/// Rejects a destination that holds an installation, or anything else below the same prefix.
pub(super) async fn require_empty(to: &End, clock: &dyn Clock) -> Result<(), MigrationError> {
    let is_something = |key: &str| !is_about_backend(key);
    match find(to.objects.as_ref(), clock, is_something).await? {
        Some(key) => Err(MigrationError::NotEmpty { name: to.name.clone(), key }),
        None => Ok(()),
    }
}

/// Deletes the copies of an earlier attempt, including those of objects that the source no longer has.
pub(super) async fn clear(
    objects: &dyn ObjectStore,
    clock: &dyn Clock,
    progress: &MigrationProgress,
) -> Result<(), MigrationError> {
    progress.begin(MigrationPhase::Clearing);
    for part in prefixes_after(None) {
        let mut walk = Walk::new(objects, clock, part.clone());
        while let Some(page) = walk.next().await? {
            for batch in page.chunks(MAX_DELETE_KEYS) {
                let keys = || batch.iter().map(|object| object.key.clone()).collect();
                let removed = with_retry(clock, async || objects.delete_many(keys()).await).await;
                removed.map_err(|cause| MigrationError::Object { key: part.0.to_owned(), cause })?;
                for object in batch {
                    progress.add(object.size);
                }
            }
        }
    }
    Ok(())
}

/// Returns a digest of the source's format and clock record, which every gateway that runs there changes.
pub(super) async fn identify(objects: &dyn ObjectStore) -> Result<String, MigrationError> {
    let mut hash = Sha256::new();
    for key in [kv::FORMAT_OBJECT, kv::CLOCK] {
        let bytes = read_small(objects, key).await?.unwrap_or_default();
        hash.update(bytes.len().to_le_bytes());
        hash.update(&bytes);
    }
    Ok(hash.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

/// Reads a small object; `None` if it is not there.
pub(super) async fn read_small(objects: &dyn ObjectStore, key: &str) -> Result<Option<bytes::Bytes>, MigrationError> {
    let read = async || match objects.get(key, GetOptions::default()).await {
        Ok(object) => object.body.into_bytes(MAX_BYTES).await.map(Some).map_err(Error::Body),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    };
    let read: storage::Result<_> = read().await;
    read.map_err(|cause| MigrationError::Object { key: key.to_owned(), cause })
}

/// Rejects a bucket that a gateway serves from: waits until the clock record is older than any running gateway leaves
/// it.
pub(super) async fn require_idle(
    from: &End,
    clock: &dyn Clock,
    progress: &MigrationProgress,
) -> Result<(), MigrationError> {
    let mut first = None;
    while let Some((record, etag)) = read_json::<ClockRecord>(from.objects.as_ref(), kv::CLOCK).await? {
        if first.get_or_insert_with(|| etag.clone()) != &etag {
            return Err(MigrationError::InUse { name: from.name.clone() });
        }
        if clock.now().since(record.wall_time).as_secs() >= STALE_SECS {
            break;
        }
        progress.begin(MigrationPhase::Waiting);
        clock.sleep(IDLE_CHECK_INTERVAL).await;
    }
    Ok(())
}

/// Returns whether an object concerns only the object store it is in.
fn is_about_backend(key: &str) -> bool {
    is_backend_specific(key) || key == CAPABILITIES_KEY || key.starts_with(PROBES)
}

/// Returns whether an object is not copied unchanged.
fn stays_behind(key: &str) -> bool {
    is_about_backend(key) || key == kv::FORMAT_OBJECT || key == AdminToken::OBJECT
}

/// Finds an object that satisfies `is_wanted`.
async fn find(
    objects: &dyn ObjectStore,
    clock: &dyn Clock,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Option<String>, MigrationError> {
    let mut after = None;
    loop {
        let (page, is_truncated) = list(objects, clock, ROOT, after.as_ref()).await?;
        if let Some(found) = page.iter().find(|object| is_wanted(&object.key)) {
            return Ok(Some(found.key.clone()));
        }
        let last = page.last().map(|object| object.key.clone());
        if !is_truncated || last == after {
            return Ok(None);
        }
        after = last;
    }
}

/// Returns the prefixes of all objects to move, each with the key after which to begin: all of them, or those from
/// that of `after` on.
pub(super) fn prefixes_after(after: Option<&str>) -> Vec<(&'static str, Option<String>)> {
    let all = kv::PREFIXES.into_iter().chain(auth::PREFIXES).chain(runs::PREFIXES);
    let Some(after) = after else { return all.map(|prefix| (prefix, None)).collect() };
    let rest = all.skip_while(|prefix| !is_below(after, prefix));
    rest.enumerate().map(|(index, prefix)| (prefix, (index == 0).then(|| after.to_owned()))).collect()
}

/// Returns whether the object is to be moved.
pub(super) fn is_moved(key: &str) -> bool {
    prefixes_after(None).iter().any(|(prefix, _)| is_below(key, prefix)) && !is_backend_specific(key)
}

/// Returns whether a key is below a prefix, which is a folder or one object.
fn is_below(key: &str, prefix: &str) -> bool {
    if prefix.ends_with('/') { key.starts_with(prefix) } else { key == prefix }
}

/// The objects below one prefix, page by page.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    objects: &'a dyn ObjectStore,
    clock: &'a dyn Clock,
    prefix: &'static str,
    after: Option<String>,
    is_over: bool,
}

impl<'a> Walk<'a> {
    /// Returns a walk through the objects below `prefix` after the key `after`.
    pub(super) fn new(
        objects: &'a dyn ObjectStore,
        clock: &'a dyn Clock,
        (prefix, after): (&'static str, Option<String>),
    ) -> Self {
        Self { objects, clock, prefix, after, is_over: false }
    }

    /// Returns the next page, which may be empty; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ListedObject>>, MigrationError> {
        if self.is_over {
            return Ok(None);
        }
        let page = list(self.objects, self.clock, self.prefix, self.after.as_ref()).await?;
        self.is_over = !page.1;
        let mut objects = page.0;
        if let Some(last) = objects.last() {
            self.after = Some(last.key.clone());
        }
        objects.retain(|object| is_below(&object.key, self.prefix) && !is_backend_specific(&object.key));
        Ok(Some(objects))
    }
}

/// Lists a page below `prefix`. Returns whether more follows.
pub(super) async fn list(
    objects: &dyn ObjectStore,
    clock: &dyn Clock,
    prefix: &str,
    after: Option<&String>,
) -> Result<(Vec<ListedObject>, bool), MigrationError> {
    let options = || ListOptions { prefix: prefix.to_owned(), start_after: after.cloned(), limit: MAX_LIST_KEYS };
    let page = with_retry(clock, async || objects.list(options()).await).await;
    let page = page.map_err(|cause| MigrationError::List { prefix: prefix.to_owned(), cause })?;
    // A page without keys has no last key to continue from.
    let is_truncated = page.is_truncated && !page.objects.is_empty();
    Ok((page.objects, is_truncated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_operators_explains_everything_that_is_moved() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/LAYOUT.md")).expect("the page");
        for (prefix, _) in prefixes_after(None) {
            assert!(page.contains(&format!("| `{prefix}")), "{prefix}");
        }
    }

    #[test]
    fn no_prefix_is_the_beginning_of_another_and_a_walk_goes_on_where_it_was() {
        let all: Vec<_> = prefixes_after(None).into_iter().map(|(prefix, _)| prefix).collect();
        for prefix in &all {
            assert_eq!(all.iter().filter(|other| is_below(other, prefix)).count(), 1, "{prefix}");
        }
        let rest = prefixes_after(Some("larder/runs-due/x"));
        let at = all.iter().position(|prefix| *prefix == "larder/runs-due/").expect("it is one of them");
        assert_eq!(rest[0], ("larder/runs-due/", Some("larder/runs-due/x".to_owned())));
        assert_eq!(rest.len(), all.len() - at);
        assert!(rest[1..].iter().all(|(_, after)| after.is_none()));
    }
}
