//! Deletion of stores, and purging of what they leave behind.
//!
//! The first pass over a tombstone purges the records. The second pass runs when no earlier request can still be
//! writing. It purges late writes, then the document and the name's claim. That time is measured in uptime.
//!
//! ```text
//! A  PUT record (slow)                      B  deletes the store, removes its records
//!    the object store takes the record         ...an hour later: removes it as well
//!    A reads the document: deleted. 404
//! ```

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
            repository::Documents,
            store_metadata::{Document, FormerName, Location, StoreSnapshot},
        },
    },
    storage::{ListOptions, MAX_DELETE_KEYS, ObjectStore},
};

use super::{
    due_queue::DueQueue,
    state_machine::{self, LifecyclePolicy, MAX_REQUEST_DURATION},
};

/// Margin on top of the uptime of the second pass, if it is scheduled before the deletion.
const MARGIN: Duration = Duration::from_mins(1);

/// Objects of stores that are still to be deleted; many stores share a call.
#[derive(Debug, Default)]
pub struct Remains {
    /// Keys of objects to delete first.
    pub keys: Vec<String>,
    /// Key of the document, deleted when nothing else is left.
    pub document: Option<String>,
}

/// Deletes stores.
#[derive(Debug)]
pub struct Removals {
    objects: Arc<dyn ObjectStore>,
    documents: Arc<Documents>,
    claims: Arc<Claims>,
    due_queue: Arc<DueQueue>,
    policy: Arc<LifecyclePolicy>,
    clock: Arc<dyn Clock>,
    guard: Arc<ClockGuard>,
}

impl Removals {
    /// Returns the deleter for `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        documents: Arc<Documents>,
        claims: Arc<Claims>,
        due_queue: Arc<DueQueue>,
        policy: Arc<LifecyclePolicy>,
        clock: Arc<dyn Clock>,
        guard: Arc<ClockGuard>,
    ) -> Self {
        Self { objects, documents, claims, due_queue, policy, clock, guard }
    }

    /// Writes the tombstone of a store and schedules the purge of its records.
    pub async fn bury(&self, snapshot: Arc<StoreSnapshot>) -> Result<()> {
        self.due_queue.schedule_intent(snapshot.document.id).await?;
        self.bury_if(snapshot, |_| true).await.map(drop)
    }

    /// Does the same for a store that was found expired twice, the second time at `now` by a trusted clock, unless it
    /// has changed meanwhile. Returns its current document.
    pub async fn bury_expired(&self, snapshot: Arc<StoreSnapshot>, now: Timestamp) -> Result<Arc<StoreSnapshot>> {
        let is_over = |document: &Document| {
            let sweep_time = state_machine::sweep_time(document);
            sweep_time.is_some_and(|at| at <= now) || !self.policy.safeguards.sweeps_by_document
        };
        self.schedule_last_pass(snapshot.document.id, MARGIN).await?;
        self.bury_if(snapshot, is_over).await
    }

    async fn bury_if(
        &self,
        snapshot: Arc<StoreSnapshot>,
        may_go: impl Fn(&Document) -> bool,
    ) -> Result<Arc<StoreSnapshot>> {
        let (now, uptime) = (self.clock.now(), self.guard.uptime());
        let bury = |document: &mut Document| {
            if may_go(document) { state_machine::tombstone(document, now, uptime) } else { Ok(false) }
        };
        self.documents.update_from(snapshot, bury).await
    }

    async fn schedule_last_pass(&self, id: StoreId, margin: Duration) -> Result<()> {
        self.due_queue.schedule_after(id, DueReason::Deleted, MAX_REQUEST_DURATION + margin).await
    }

    /// Finds what a deleted store leaves behind, for the caller to delete, and schedules another visit unless that is
    /// everything.
    pub async fn work_on(&self, document: &Document, uptime_millis: u64, locations: &[Location]) -> Result<Remains> {
        if self.guard.uptime() < Duration::from_millis(uptime_millis) + MAX_REQUEST_DURATION {
            self.schedule_last_pass(document.id, Duration::ZERO).await?;
            self.documents.publish_again(document).await?;
        }
        self.find_remains(document, uptime_millis, locations).await
    }

    /// Finds what a deleted store leaves behind, for a caller that has scheduled the last pass.
    pub async fn find_remains(
        &self,
        document: &Document,
        uptime_millis: u64,
        locations: &[Location],
    ) -> Result<Remains> {
        let id = document.id;
        let is_last = self.guard.uptime() >= Duration::from_millis(uptime_millis) + MAX_REQUEST_DURATION;
        let mut remains = Remains::default();
        for location in locations {
            remains.keys.extend(self.last_records(id, location).await?);
        }
        let contents = document.contents.as_ref();
        remains.keys.extend(contents.map(|contents| object_keys::usage_entry(&document.owner_id, &id, contents)));
        if is_last {
            remains.keys.extend(self.usage_entries(document).await?);
            let Document { owner_id, name, pending_name, former_names, .. } = document;
            let former = former_names.iter().map(|former| &former.name);
            for name in [name, pending_name].into_iter().flatten().chain(former) {
                self.claims.forget(owner_id, &name.folded(), id).await?;
            }
            remains.keys.extend(document.entries.iter().map(|name| object_keys::index(owner_id) + name));
            remains.keys.extend(scheduled_due_items(document));
            remains.document = Some(object_keys::document(&id));
        }
        Ok(remains)
    }

    /// Deletes the records of one location in batches, except the last batch, whose keys it returns.
    async fn last_records(&self, id: StoreId, location: &Location) -> Result<Vec<String>> {
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
    pub async fn orphans(&self, owner: &UserId, created_at: Timestamp, id: &StoreId) -> Result<Vec<String>> {
        let prefix = object_keys::first_index_entries(owner, created_at, id);
        let page = self.objects.list(ListOptions { prefix, start_after: None, limit: MAX_DELETE_KEYS }).await?;
        Ok(page.objects.into_iter().map(|object| object.key).collect())
    }

    /// Deletes all records of one location.
    pub async fn remove_records(&self, id: StoreId, location: &Location) -> Result<()> {
        let last = self.last_records(id, location).await?;
        if last.is_empty() { Ok(()) } else { Ok(self.objects.delete_many(last).await?) }
    }

    /// Deletes objects, at most [`MAX_DELETE_KEYS`] per call.
    pub async fn remove(&self, mut keys: Vec<String>) -> Result<()> {
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
        let snapshot = self.documents.read(id).await?.ok_or(Error::StoreNotFound)?;
        for stale in &over {
            if stale.location != snapshot.document.location {
                self.remove_records(id, &stale.location).await?;
            }
        }
        let forget = |document: &mut Document| {
            let before = document.stale_locations.len();
            document.stale_locations.retain(|stale| !over.contains(stale));
            Ok(document.is_there() && document.stale_locations.len() < before)
        };
        self.documents.update_from(snapshot, forget).await
    }

    /// Undoes an unfinished rename, unless the store is being created with the name.
    pub async fn end_rename(&self, snapshot: Arc<StoreSnapshot>, now: Timestamp) -> Result<Arc<StoreSnapshot>> {
        if snapshot.document.pending_name.is_none() || !snapshot.document.is_there() {
            return Ok(snapshot);
        }
        let undo =
            |document: &mut Document| Ok(document.is_there() && state_machine::abandon_pending_name(document, now));
        self.documents.update_from(snapshot, undo).await
    }

    /// Releases the claims of names that a store left so long ago that no request can still be writing them. Each is
    /// removed on condition that it is the version that was read; a store that takes the name again has replaced it.
    pub async fn release_names(&self, snapshot: Arc<StoreSnapshot>) -> Result<Arc<StoreSnapshot>> {
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
            let current = self.documents.read(id).await?.ok_or(Error::StoreNotFound)?;
            if let Some(claim) = claim.filter(|_| !current.document.lays_claim_to(name)) {
                self.claims.release(&owner_id, &name.folded(), claim).await?;
            }
        }
        let forget = |document: &mut Document| {
            let before = document.former_names.len();
            document.former_names.retain(|former| !over.contains(former));
            Ok(document.is_there() && document.former_names.len() < before)
        };
        self.documents.update(id, forget).await
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
