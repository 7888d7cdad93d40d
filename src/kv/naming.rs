//! Unique names: finds a store by its name, creates one with a name, renames one. There is at most one store for each
//! name, by compare-and-swap alone, under concurrent requests and crashes.
//!
//! The claim objects and the protocol are in [`name_claims`](crate::kv::persist::name_claims): pending name, claim, name.
//! This file runs its steps for requests, and completes or undoes the steps of others. The loser of a claim tombstones
//! its own store document. Any gateway that finds a half-completed claim completes it. A rename that was not
//! acknowledged is undone instead: by a gateway that creates a store of that name, or within minutes by the reconciler.
//! The document notes each name that the store has left. The reconciler releases the claim of that name an hour later.
//!
//! Tasks of one gateway that want the same name wait for each other; gateways meet at the claim. A caller other than the
//! owner finds a name with the same reads whether or not the store exists. This file does not decide who may do so.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tokio::sync::{Mutex, MutexGuard};

use crate::clock::Clock;

use super::{
    lifecycle::{deletion::Deleter, due_queue::DueQueue, state_machine},
    model::{
        errors::{Error, Result},
        ids::{StoreId, UserId},
        names::StoreName,
    },
    persist::{
        name_claims::{Claim, Claims},
        repository::StoreRepository,
        store_metadata::{Document, Phase, StoreSnapshot},
    },
};

/// Maximum number of attempts for a name while other stores take and leave it.
const MAX_NAME_ATTEMPTS: usize = 64;

/// Number of locks on which tasks of this gateway wait for names. Gateways that want the same name meet at its
/// claim. Tasks of one gateway need not, and some object stores are slow to resolve such contention.
const NAME_LOCK_SHARDS: usize = 64;

/// Outcome of a create.
#[derive(Debug, Clone)]
pub struct Created {
    /// The store.
    pub store: Arc<StoreSnapshot>,
    /// True if it was created now; otherwise it had the name before, and is unchanged.
    pub is_new: bool,
}

/// Holder of a name.
enum Holder {
    /// This store has the name, or is claiming it.
    Store(Arc<StoreSnapshot>),
    /// No store holds it; the claim, if there is one, is stale.
    Vacant(Option<Claim>),
}

/// The names of all stores.
#[derive(Debug)]
pub struct Naming {
    repository: Arc<StoreRepository>,
    claims: Arc<Claims>,
    deleter: Arc<Deleter>,
    due_queue: Arc<DueQueue>,
    clock: Arc<dyn Clock>,
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Naming {
    /// Returns the names in `claims` and `repository`.
    pub fn new(
        repository: Arc<StoreRepository>,
        claims: Arc<Claims>,
        deleter: Arc<Deleter>,
        due_queue: Arc<DueQueue>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let locks = (0..NAME_LOCK_SHARDS).map(|_| Mutex::default()).collect();
        Self { repository, claims, deleter, due_queue, clock, locks, hasher: RandomState::new() }
    }

    /// Returns the store with a name, from the cache if that is fresh, else with two reads.
    pub async fn find(&self, owner: UserId, name: &StoreName) -> Result<Option<Arc<StoreSnapshot>>> {
        let folded = name.folded();
        let has_name =
            |snapshot: &Arc<StoreSnapshot>| snapshot.document.exists() && snapshot.document.name.as_ref() == Some(name);
        let now = self.clock.monotonic();
        if let Some(id) = self.repository.cache().name(owner, &folded, now)
            && let Some(snapshot) = self.repository.read_cached(id).await?.filter(has_name)
        {
            return Ok(Some(snapshot));
        }
        let Some(claim) = self.claims.read(&owner, &folded).await? else { return Ok(None) };
        let snapshot = self.repository.read(claim.store_id).await?.filter(has_name);
        if snapshot.is_some() {
            self.repository.cache().insert_name(owner, folded, claim.store_id, now);
        }
        Ok(snapshot)
    }

    /// Finds the store with a name for callers other than its owner. It takes two reads whether or not the store
    /// exists, and regardless of the owner's own lookups; then none until the result is stale. Names that this
    /// gateway has given meanwhile are found nevertheless.
    pub async fn find_for_others(&self, owner: UserId, name: &StoreName) -> Result<Option<Arc<StoreSnapshot>>> {
        let folded = name.folded();
        let has_name =
            |snapshot: &Arc<StoreSnapshot>| snapshot.document.exists() && snapshot.document.name.as_ref() == Some(name);
        let (cache, now) = (self.repository.cache(), self.clock.monotonic());
        if let Some(lookup) = cache.foreign_lookup(owner, &folded, now) {
            let Some(id) = cache.name(owner, &folded, now).or(lookup.store) else { return Ok(None) };
            return Ok(self.repository.read_cached(id).await?.filter(has_name));
        }
        let snapshot = if let Some(claim) = self.claims.read(&owner, &folded).await? {
            self.repository.read(claim.store_id).await?.filter(has_name)
        } else {
            let unassigned = StoreId::unassigned(self.hasher.hash_one((owner, &folded)));
            self.repository.read_vacant(unassigned).await?;
            None
        };
        cache.insert_foreign_lookup(owner, folded, snapshot.as_ref().map(|snapshot| snapshot.document.id), now);
        Ok(snapshot)
    }

    /// Returns the store with a name, or creates it from `document` (which wants the name).
    pub async fn get_or_create(
        &self,
        owner: UserId,
        name: &StoreName,
        document: impl Fn() -> Document,
    ) -> Result<Created> {
        let _guard = self.lock_name(owner, name).await;
        for _ in 0..MAX_NAME_ATTEMPTS {
            match self.holder(owner, name).await? {
                Holder::Store(store) if store.document.name.as_ref() == Some(name) => {
                    return Ok(Created { store, is_new: false });
                }
                Holder::Store(store) if store.document.phase == Phase::Creating => {
                    if let Some(store) = self.finish_naming(store, name).await? {
                        return Ok(Created { store, is_new: false });
                    }
                }
                // A store with another name, or none, is not returned for an unacknowledged rename.
                Holder::Store(store) => self.undo_rename(store, name).await?,
                Holder::Vacant(stale) => {
                    if let Some(store) = self.create(document(), name, stale.as_ref()).await? {
                        return Ok(Created { store, is_new: true });
                    }
                }
            }
        }
        Err(too_contended(name))
    }

    /// Gives a store a new name; the document takes it last.
    pub async fn rename(&self, current: &StoreSnapshot, name: &StoreName) -> Result<()> {
        let Document { id, owner_id: owner, .. } = current.document;
        let _guard = self.lock_name(owner, name).await;
        if let Holder::Store(holder) = self.holder(owner, name).await?
            && holder.document.id != id
        {
            return Err(Error::NameTaken);
        }
        // If any of the following writes fails, the reconciler visits the store, and completes or undoes them.
        self.due_queue.schedule_intent(id).await?;
        self.repository.update(id, |document| self.set_pending_name(document, name)).await?;
        for _ in 0..MAX_NAME_ATTEMPTS {
            let claim = self.claims.read(&owner, &name.folded()).await?;
            if let Some(holder) = self.valid_holder(claim.as_ref(), name).await?
                && holder.document.id != id
            {
                self.repository.update(id, |document| self.abandon_pending_name(document)).await?;
                return Err(Error::NameTaken);
            }
            if self.claims.claim(&owner, &name.folded(), id, claim.as_ref()).await? {
                let named = self.repository.update(id, |document| self.commit_name(document, name)).await?;
                // Another request that wanted the name for a new store has undone this.
                if named.document.name.as_ref() != Some(name) {
                    return Err(Error::NameTaken);
                }
                self.repository.cache().insert_name(owner, name.folded(), id, named.read_at);
                return Ok(());
            }
        }
        Err(too_contended(name))
    }

    /// Undoes an unacknowledged rename that is still in progress.
    async fn undo_rename(&self, store: Arc<StoreSnapshot>, name: &StoreName) -> Result<()> {
        self.due_queue.schedule_intent(store.document.id).await?;
        let now = self.clock.now();
        let undo = |document: &mut Document| {
            let is_pending = document.exists() && document.pending_name.as_ref() == Some(name);
            Ok(is_pending && state_machine::abandon_pending_name(document, now))
        };
        unless_deleted(self.repository.update_from(store, undo).await).map(drop)
    }

    /// Creates a store and claims its name. Returns `None` if another claim came first, or if another gateway has
    /// seen and deleted the store already; then the store is gone again.
    async fn create(
        &self,
        document: Document,
        name: &StoreName,
        stale: Option<&Claim>,
    ) -> Result<Option<Arc<StoreSnapshot>>> {
        let owner = document.owner_id;
        self.due_queue.schedule_intent_for_new(document.id, (owner, document.created_at)).await?;
        let snapshot = self.repository.create(document).await?;
        if !self.claims.claim(&owner, &name.folded(), snapshot.document.id, stale).await? {
            self.deleter.tombstone(snapshot).await?;
            return Ok(None);
        }
        let named = self.repository.update_from(snapshot, |document| self.commit_name(document, name)).await;
        let Some(store) = unless_deleted(named)? else { return Ok(None) };
        self.repository.cache().insert_name(owner, name.folded(), store.document.id, store.read_at);
        Ok(Some(store))
    }

    /// Completes the naming of a store that is being created and claims `name`; returns `None` if it no longer wants
    /// it.
    ///
    /// This also completes stores left by a crashed gateway or an aborted request. The claim is rewritten, so no
    /// gateway that saw it as stale can still take it over; then the document takes the name.
    async fn finish_naming(&self, store: Arc<StoreSnapshot>, name: &StoreName) -> Result<Option<Arc<StoreSnapshot>>> {
        let Document { id, owner_id: owner, .. } = store.document;
        let claim = self.claims.read(&owner, &name.folded()).await?.filter(|claim| claim.store_id == id);
        let Some(claim) = claim else { return Ok(None) };
        self.due_queue.schedule_intent(id).await?;
        self.repository.republish_entry(&store.document).await?;
        if !self.claims.claim(&owner, &name.folded(), id, Some(&claim)).await? {
            return Ok(None);
        }
        let commit_name = |document: &mut Document| self.commit_name(document, name);
        let Some(named) = unless_deleted(self.repository.update(id, commit_name).await)? else { return Ok(None) };
        let named =
            Some(named).filter(|snapshot| snapshot.document.exists() && snapshot.document.name.as_ref() == Some(name));
        if let Some(snapshot) = &named {
            self.repository.cache().insert_name(owner, name.folded(), id, snapshot.read_at);
        }
        Ok(named)
    }

    /// Returns the holder of a name, read afresh.
    async fn holder(&self, owner: UserId, name: &StoreName) -> Result<Holder> {
        let claim = self.claims.read(&owner, &name.folded()).await?;
        Ok(match self.valid_holder(claim.as_ref(), name).await? {
            Some(store) => Holder::Store(store),
            None => Holder::Vacant(claim),
        })
    }

    /// Returns the store of a claim unless the claim is stale.
    async fn valid_holder(&self, claim: Option<&Claim>, name: &StoreName) -> Result<Option<Arc<StoreSnapshot>>> {
        let Some(claim) = claim else { return Ok(None) };
        let store = self.repository.read(claim.store_id).await?;
        Ok(store.filter(|snapshot| snapshot.document.claims_name(name)))
    }

    /// Sets the pending name of a document, and keeps the store alive until it has it.
    fn set_pending_name(&self, document: &mut Document, name: &StoreName) -> Result<bool> {
        if !document.is_visible(self.repository.now()) {
            return Err(Error::StoreNotFound);
        }
        let now = self.repository.expiry_base();
        if document.name.is_none() {
            document.expires_at =
                document.expires_at.max(Some(state_machine::extended_expiry(document.retention, now)));
        }
        if document.pending_name.as_ref() != Some(name) {
            state_machine::abandon_pending_name(document, now);
        }
        document.pending_name = Some(name.clone());
        Ok(true)
    }

    /// Sets a document's name to the pending one, unless it has it already or no longer wants it.
    fn commit_name(&self, document: &mut Document, name: &StoreName) -> Result<bool> {
        match document.phase {
            Phase::Deleted { .. } => return Err(Error::StoreNotFound),
            Phase::Creating => document.phase = Phase::Active,
            Phase::Active | Phase::Copying(_) | Phase::Frozen(_) | Phase::CuttingOver(_) => {}
        }
        if document.pending_name.as_ref() != Some(name) {
            return Ok(false);
        }
        state_machine::commit_name(document, self.clock.now());
        Ok(true)
    }

    fn abandon_pending_name(&self, document: &mut Document) -> Result<bool> {
        if !document.exists() {
            return Err(Error::StoreNotFound);
        }
        Ok(state_machine::abandon_pending_name(document, self.clock.now()))
    }

    /// Waits until no other task of this gateway works on the name.
    async fn lock_name(&self, owner: UserId, name: &StoreName) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one((owner, name.folded()));
        self.locks[usize::try_from(hash % NAME_LOCK_SHARDS as u64).unwrap_or(0)].lock().await
    }
}

/// Maps a store that was deleted meanwhile to `None`: the caller gets another store of the name instead of an error.
fn unless_deleted(named: Result<Arc<StoreSnapshot>>) -> Result<Option<Arc<StoreSnapshot>>> {
    match named {
        Err(Error::StoreNotFound) => Ok(None),
        named => named.map(Some),
    }
}

fn too_contended(name: &StoreName) -> Error {
    Error::unavailable(format!("cannot claim the name {name}: too many stores want it at the same time"))
}
