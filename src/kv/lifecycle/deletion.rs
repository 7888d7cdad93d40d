//! Deletion of stores: tombstone, purge, final purge; and of abandoned multipart uploads.
//!
//! 1. Schedule. A due item is written as intent. For an expired store it is the item of the final purge.
//! 2. Tombstone: the commit point. A compare-and-swap sets the phase `Deleted`, with all locations that may hold records.
//!    The store is gone for requests.
//! 3. Purge. The reconciler deletes the records of these locations, in batches.
//! 4. Final purge, an hour of uptime later, when no request can still be writing. It deletes late writes, the claims of
//!    the store's names and its index entries, and the document last.
//!
//! ```text
//! A  PUT record (slow)                      B  deletes the store, purges its records
//!    the object store takes the record         ...an hour later: deletes it as well
//!    A reads the document: deleted. 404
//! ```
//!
//! *Conflict.* A lost compare-and-swap in step 2 is repeated on the new version of the document. An expired store whose
//! expiry has been extended meanwhile stays.
//!
//! *Crash.* Before step 2 nothing has changed, and the intent is acknowledged without effect. After it the due item makes
//! the reconciler of any gateway continue; purges are idempotent.
//!
//! *Uploads.* A multipart upload is aborted when it fails. The ones left were not aborted by any process: it was
//! killed, or the object store did not respond, or responded late. Their parts take up space that no list of objects
//! shows. Lifecycle rules abort them after a week on object stores that support them.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, ClockGuard, Timestamp},
    kv::{
        model::{
            errors::{Error, Result},
            ids::{StoreId, UserId},
        },
        persist::{
            name_claims::Claims,
            object_keys::{self, DueKey, DueReason},
            repository::StoreRepository,
            store_metadata::{Document, FormerName, Location, StoreSnapshot},
        },
    },
    storage::{self, Lifecycle, ListOptions, MAX_DELETE_KEYS, ObjectStore, UnfinishedUpload},
};

use super::{
    due_queue::DueQueue,
    state_machine::{self, LifecyclePolicy, MAX_REQUEST_DURATION},
};

/// Margin on top of the uptime of the final purge, if it is scheduled before the tombstone.
const FINAL_PURGE_MARGIN: Duration = Duration::from_mins(1);

/// Objects of stores that are still to be deleted; many stores share a call.
#[derive(Debug, Default)]
pub struct PurgeList {
    /// Keys of objects to delete first.
    pub keys: Vec<String>,
    /// Key of the document, deleted when nothing else is left.
    pub document: Option<String>,
}

/// Deleter of stores.
#[derive(Debug)]
pub struct Deleter {
    objects: Arc<dyn ObjectStore>,
    repository: Arc<StoreRepository>,
    claims: Arc<Claims>,
    due_queue: Arc<DueQueue>,
    policy: Arc<LifecyclePolicy>,
    clock: Arc<dyn Clock>,
    guard: Arc<ClockGuard>,
}

impl Deleter {
    /// Returns the deleter for `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        repository: Arc<StoreRepository>,
        claims: Arc<Claims>,
        due_queue: Arc<DueQueue>,
        policy: Arc<LifecyclePolicy>,
        clock: Arc<dyn Clock>,
        guard: Arc<ClockGuard>,
    ) -> Self {
        Self { objects, repository, claims, due_queue, policy, clock, guard }
    }

    /// Writes the tombstone of a store and schedules the purge of its records.
    pub async fn tombstone(&self, snapshot: Arc<StoreSnapshot>) -> Result<()> {
        self.due_queue.schedule_intent(snapshot.document.id).await?;
        self.tombstone_if(snapshot, |_| true).await.map(drop)
    }

    /// Writes the tombstone of a store that was found expired twice, the second time at `now` by a trusted clock,
    /// unless it has changed meanwhile. Returns its current document.
    pub async fn tombstone_expired(&self, snapshot: Arc<StoreSnapshot>, now: Timestamp) -> Result<Arc<StoreSnapshot>> {
        let is_over = |document: &Document| {
            let sweep_time = state_machine::sweep_time(document);
            sweep_time.is_some_and(|at| at <= now) || !self.policy.toggles.sweeps_by_document
        };
        self.schedule_final_purge(snapshot.document.id, FINAL_PURGE_MARGIN).await?;
        self.tombstone_if(snapshot, is_over).await
    }

    async fn tombstone_if(
        &self,
        snapshot: Arc<StoreSnapshot>,
        is_allowed: impl Fn(&Document) -> bool,
    ) -> Result<Arc<StoreSnapshot>> {
        let (now, uptime) = (self.clock.now(), self.guard.uptime());
        let tombstone = |document: &mut Document| {
            if is_allowed(document) { state_machine::tombstone(document, now, uptime) } else { Ok(false) }
        };
        self.repository.update_from(snapshot, tombstone).await
    }

    async fn schedule_final_purge(&self, id: StoreId, margin: Duration) -> Result<()> {
        self.due_queue.schedule_after(id, DueReason::Deleted, MAX_REQUEST_DURATION + margin).await
    }

    /// Finds what a deleted store leaves behind, for the caller to delete, and schedules another visit unless that is
    /// everything.
    pub async fn purge(&self, document: &Document, uptime_millis: u64, locations: &[Location]) -> Result<PurgeList> {
        if self.guard.uptime() < Duration::from_millis(uptime_millis) + MAX_REQUEST_DURATION {
            self.schedule_final_purge(document.id, Duration::ZERO).await?;
            self.repository.republish_entry(document).await?;
        }
        self.list_purgeable(document, uptime_millis, locations).await
    }

    /// Finds what a deleted store leaves behind, for a caller that has scheduled the final purge.
    pub async fn list_purgeable(
        &self,
        document: &Document,
        uptime_millis: u64,
        locations: &[Location],
    ) -> Result<PurgeList> {
        let id = document.id;
        let is_final = self.guard.uptime() >= Duration::from_millis(uptime_millis) + MAX_REQUEST_DURATION;
        let mut purge_list = PurgeList::default();
        for location in locations {
            purge_list.keys.extend(self.delete_records_but_last_page(id, location).await?);
        }
        let contents = document.contents.as_ref();
        purge_list.keys.extend(contents.map(|contents| object_keys::usage_entry(&document.owner_id, &id, contents)));
        if is_final {
            purge_list.keys.extend(self.usage_entries(document).await?);
            let Document { owner_id, name, pending_name, former_names, .. } = document;
            let former = former_names.iter().map(|former| &former.name);
            for name in [name, pending_name].into_iter().flatten().chain(former) {
                self.claims.release_if_held(owner_id, &name.folded(), id).await?;
            }
            purge_list.keys.extend(document.index_entries.iter().map(|name| object_keys::index(owner_id) + name));
            purge_list.keys.extend(scheduled_due_items(document));
            purge_list.document = Some(object_keys::document(&id));
        }
        Ok(purge_list)
    }

    /// Deletes the records of one location in batches, except the last batch, whose keys it returns.
    async fn delete_records_but_last_page(&self, id: StoreId, location: &Location) -> Result<Vec<String>> {
        loop {
            let options =
                ListOptions { prefix: object_keys::records(&id, location), start_after: None, limit: MAX_DELETE_KEYS };
            let page = self.objects.list(options).await?;
            let keys = page.objects.into_iter().map(|object| object.key).collect();
            if !page.is_truncated {
                return Ok(keys);
            }
            self.objects.delete_many(keys).await?;
        }
    }

    /// Returns the size entries of a store: one, and any that a crash has left.
    async fn usage_entries(&self, document: &Document) -> Result<Vec<String>> {
        let prefix = object_keys::usage_entries_of_store(&document.owner_id, &document.id);
        let page = self.objects.list(ListOptions { prefix, start_after: None, limit: MAX_DELETE_KEYS }).await?;
        Ok(page.objects.into_iter().map(|object| object.key).collect())
    }

    /// Returns the keys of index entries of a store whose document was never written.
    pub async fn orphaned_index_entries(
        &self,
        owner: &UserId,
        created_at: Timestamp,
        id: &StoreId,
    ) -> Result<Vec<String>> {
        let prefix = object_keys::first_index_entries(owner, created_at, id);
        let page = self.objects.list(ListOptions { prefix, start_after: None, limit: MAX_DELETE_KEYS }).await?;
        Ok(page.objects.into_iter().map(|object| object.key).collect())
    }

    /// Deletes all records of one location.
    pub async fn delete_records(&self, id: StoreId, location: &Location) -> Result<()> {
        let last = self.delete_records_but_last_page(id, location).await?;
        if last.is_empty() { Ok(()) } else { Ok(self.objects.delete_many(last).await?) }
    }

    /// Deletes objects, at most [`MAX_DELETE_KEYS`] per call.
    pub async fn delete_objects(&self, mut keys: Vec<String>) -> Result<()> {
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(MAX_DELETE_KEYS));
            self.objects.delete_many(std::mem::replace(&mut keys, rest)).await?;
        }
        Ok(())
    }

    /// Deletes the locations from which no request can still be reading, and removes them from the document.
    pub async fn delete_stale_locations(&self, snapshot: Arc<StoreSnapshot>) -> Result<Arc<StoreSnapshot>> {
        let Some(now) = self.guard.deletion_time() else { return Ok(snapshot) };
        let (id, lifetime) = (snapshot.document.id, self.policy.stale_location_lifetime());
        let is_over = |since: Timestamp| now.since(since) >= lifetime;
        let over: Vec<_> =
            snapshot.document.stale_locations.iter().filter(|left| is_over(left.since)).cloned().collect();
        if over.is_empty() {
            return Ok(snapshot);
        }
        // Read afresh: the current location is never deleted, whatever a stale snapshot says.
        let snapshot = self.repository.read(id).await?.ok_or(Error::StoreNotFound)?;
        for stale in &over {
            if stale.location != snapshot.document.location {
                self.delete_records(id, &stale.location).await?;
            }
        }
        let drop_entries = |document: &mut Document| {
            let before = document.stale_locations.len();
            document.stale_locations.retain(|stale| !over.contains(stale));
            Ok(document.exists() && document.stale_locations.len() < before)
        };
        self.repository.update_from(snapshot, drop_entries).await
    }

    /// Undoes an unfinished rename, unless the store is being created with the name.
    pub async fn abandon_rename(&self, snapshot: Arc<StoreSnapshot>, now: Timestamp) -> Result<Arc<StoreSnapshot>> {
        if snapshot.document.pending_name.is_none() || !snapshot.document.exists() {
            return Ok(snapshot);
        }
        let undo =
            |document: &mut Document| Ok(document.exists() && state_machine::abandon_pending_name(document, now));
        self.repository.update_from(snapshot, undo).await
    }

    /// Releases the claims of names that a store left so long ago that no request can still be writing them. Each is
    /// removed on condition that it is the version that was read; a store that takes the name again has replaced it.
    pub async fn release_former_names(&self, snapshot: Arc<StoreSnapshot>) -> Result<Arc<StoreSnapshot>> {
        let Some(now) = self.guard.deletion_time() else { return Ok(snapshot) };
        let is_over = |former: &FormerName| now.since(former.since) >= MAX_REQUEST_DURATION;
        let over: Vec<_> = snapshot.document.former_names.iter().filter(|former| is_over(former)).cloned().collect();
        if over.is_empty() {
            return Ok(snapshot);
        }
        let Document { id, owner_id, .. } = snapshot.document;
        for FormerName { name, .. } in &over {
            let claim = self.claims.read(&owner_id, &name.folded()).await?.filter(|claim| claim.store_id == id);
            // Read after the claim: a store that wants the name records that in its document before it writes another
            // claim.
            let current = self.repository.read(id).await?.ok_or(Error::StoreNotFound)?;
            if let Some(claim) = claim.filter(|_| !current.document.claims_name(name)) {
                self.claims.release(&owner_id, &name.folded(), claim).await?;
            }
        }
        let drop_entries = |document: &mut Document| {
            let before = document.former_names.len();
            document.former_names.retain(|former| !over.contains(former));
            Ok(document.exists() && document.former_names.len() < before)
        };
        self.repository.update(id, drop_entries).await
    }
}

/// Returns the possible keys of the due item that a store document records.
fn scheduled_due_items(document: &Document) -> Vec<String> {
    let Document { id, owner_id, created_at, due_at, .. } = document;
    let Some(at) = *due_at else { return Vec::new() };
    let key =
        |creation| object_keys::due_item(&DueKey { at, id: *id, reason: DueReason::Scheduled, mark: 0, creation });
    vec![key(None), key(Some((*owner_id, *created_at)))]
}

/// Time without a new part after which an upload counts as abandoned. A gateway aborts an upload that makes no
/// progress for minutes.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// Maximum number of pages per run, in case the object store's continuation markers form a cycle.
const MAX_PAGES: usize = 1000;

/// Aborts abandoned multipart uploads below the root of the installation, and no others.
#[derive(Debug)]
pub struct AbandonedUploads {
    objects: Arc<dyn ObjectStore>,
    guard: Arc<ClockGuard>,
}

impl AbandonedUploads {
    /// Returns an instance for the uploads in `objects`; `guard` checks the clock that their times are compared with.
    pub fn new(objects: Arc<dyn ObjectStore>, guard: Arc<ClockGuard>) -> Self {
        Self { objects, guard }
    }

    /// Aborts every upload that began, and received its last part, more than a day ago. Returns the number aborted.
    /// Does nothing while the clock is not trusted, or if the object store cannot list uploads.
    pub async fn abort(&self) -> Result<usize> {
        match self.objects.lifecycle() {
            Some(lifecycle) => self.abort_in(lifecycle).await,
            None => Ok(0),
        }
    }

    async fn abort_in(&self, lifecycle: &dyn Lifecycle) -> Result<usize> {
        let (mut aborted, mut mark) = (0, None);
        for _ in 0..MAX_PAGES {
            let page = match lifecycle.unfinished_uploads(object_keys::root(), mark.as_ref()).await {
                Err(storage::Error::Unsupported(_)) => return Ok(aborted),
                page => page.map_err(Error::unavailable)?,
            };
            for upload in &page.uploads {
                aborted += usize::from(self.abort_if_abandoned(lifecycle, upload).await?);
            }
            if page.next.is_none() || page.next == mark {
                break;
            }
            mark = page.next;
        }
        Ok(aborted)
    }

    async fn abort_if_abandoned(&self, lifecycle: &dyn Lifecycle, upload: &UnfinishedUpload) -> Result<bool> {
        let Some(now) = self.guard.deletion_time() else { return Ok(false) };
        let before = now.minus(ABANDONED_AFTER);
        if upload.began_at >= before || !upload.key.starts_with(object_keys::root()) {
            return Ok(false);
        }
        // A large record from a slow client may take days; every part of it counts as progress.
        let last = lifecycle.last_part_at(upload).await.map_err(Error::unavailable)?;
        if last.is_some_and(|last| last >= before) || !self.guard.allows_deletion() {
            return Ok(false);
        }
        lifecycle.abort_upload(upload).await.map_err(Error::unavailable)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Mutex};

    use async_trait::async_trait;

    use super::*;
    use crate::{
        clock::ManualClock,
        storage::{
            LifecycleError, Reconciled, Result as StorageResult, UploadPage, UploadPosition, WantedRules,
            in_memory::InMemoryStore,
        },
    };

    const HOUR: Duration = Duration::from_hours(1);

    /// An object store that lists one upload per page. Each has a key, hours since it began, and hours since its last
    /// part, if any.
    #[derive(Debug)]
    struct Uploads(Mutex<BTreeMap<String, (u32, Option<u32>)>>, Arc<ManualClock>);

    impl Uploads {
        fn ago(&self, hours: u32) -> Timestamp {
            self.1.now().minus(HOUR * hours)
        }
    }

    #[async_trait]
    impl Lifecycle for Uploads {
        async fn reconcile(&self, _: &WantedRules) -> std::result::Result<Reconciled, LifecycleError> {
            Ok(Reconciled::Unsupported)
        }

        async fn unfinished_uploads(&self, _: &str, from: Option<&UploadPosition>) -> StorageResult<UploadPage> {
            let all = self.0.lock().expect("no panic");
            let mut behind = all.iter().filter(|(key, _)| from.is_none_or(|from| **key > from.key));
            let Some((key, (began, _))) = behind.next() else { return Ok(UploadPage::default()) };
            let upload = UnfinishedUpload { key: key.clone(), id: "1".to_owned(), began_at: self.ago(*began) };
            let next = behind.next().map(|_| UploadPosition { key: key.clone(), id: "1".to_owned() });
            Ok(UploadPage { uploads: vec![upload], next })
        }

        async fn last_part_at(&self, upload: &UnfinishedUpload) -> StorageResult<Option<Timestamp>> {
            let all = self.0.lock().expect("no panic");
            Ok(all.get(&upload.key).and_then(|(_, last)| *last).map(|hours| self.ago(hours)))
        }

        async fn abort_upload(&self, upload: &UnfinishedUpload) -> StorageResult<()> {
            self.0.lock().expect("no panic").remove(&upload.key);
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_has_stood_still_for_a_day_is_aborted_and_nothing_else() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000_000_000)));
        let kept = [
            ("larder/permanent/begun", (1, None)),
            ("larder/permanent/slow", (90, Some(23))),
            ("of-others/a", (900, None)),
        ];
        let abandoned = [("larder/permanent/empty", (25, None)), ("larder/expiring/7/a", (90, Some(25)))];
        let all = kept.iter().chain(&abandoned).map(|(key, times)| ((*key).to_owned(), *times)).collect();
        let uploads = Uploads(Mutex::new(all), Arc::clone(&clock));
        let objects = Arc::new(InMemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let clock: Arc<dyn Clock> = clock;
        let guard = Arc::new(ClockGuard::new(Arc::clone(&clock), clock));
        let own = AbandonedUploads::new(objects, Arc::clone(&guard));
        assert_eq!(own.abort_in(&uploads).await.expect("it can"), abandoned.len());
        let left: Vec<_> = uploads.0.lock().expect("no panic").keys().cloned().collect();
        assert_eq!(left, kept.map(|(key, _)| key));
        assert_eq!(own.abort_in(&uploads).await.expect("it can"), 0);
        // Without a list of uploads there is nothing to do.
        assert_eq!(own.abort().await.expect("it can"), 0);
        uploads.0.lock().expect("no panic").insert("larder/permanent/old".to_owned(), (90, None));
        guard.suspend("the clock is wrong");
        assert_eq!(own.abort_in(&uploads).await.expect("it can"), 0);
    }
}
