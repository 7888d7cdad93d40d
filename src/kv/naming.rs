//! How stores get their names: one store for each name, whoever asks at once, and whatever dies half-way.
//!
//! A store that is to have a name says so in its document (`pending_name`), then claims it ([`Claims`]), then has it
//! (`name`). A claim counts as long as its store's document, read afresh, wants the name.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tokio::sync::{Mutex, MutexGuard};

use crate::clock::Clock;

use super::{
    appointments::Appointments,
    claims::{Claim, Claims},
    document::{Document, Phase},
    documents::Documents,
    error::{Error, Result},
    id::{StoreId, UserId},
    life,
    name::StoreName,
    removal::Removals,
    view::StoreView,
};

/// How often a name is tried for when other stores come and go under it.
const MAX_ATTEMPTS: usize = 64;

/// Queues that tasks of this gateway wait in for names. Two gateways that want one name meet at its claim; tasks of
/// one gateway need not, and some object stores are slow to settle such a meeting.
const NAME_QUEUES: usize = 64;

/// The outcome of a create.
#[derive(Debug, Clone)]
pub struct Created {
    /// The store.
    pub store: Arc<StoreView>,
    /// Whether it was made now; else it had the name before, and is as it was.
    pub is_new: bool,
}

/// Who holds a name.
enum Holder {
    /// This store has it, or is about to.
    Store(Arc<StoreView>),
    /// Nobody; the claim, if there is one, is stale.
    Nobody(Option<Claim>),
}

/// The names of all stores.
#[derive(Debug)]
pub struct Naming {
    documents: Arc<Documents>,
    claims: Arc<Claims>,
    removals: Arc<Removals>,
    appointments: Arc<Appointments>,
    clock: Arc<dyn Clock>,
    queues: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Naming {
    /// Names that stand in `claims` and `documents`.
    pub fn new(
        documents: Arc<Documents>,
        claims: Arc<Claims>,
        removals: Arc<Removals>,
        appointments: Arc<Appointments>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let queues = (0..NAME_QUEUES).map(|_| Mutex::default()).collect();
        Self { documents, claims, removals, appointments, clock, queues, hasher: RandomState::new() }
    }

    /// The store that has a name; from the cache where that is fresh enough, else two reads.
    pub async fn find(&self, owner: UserId, name: &StoreName) -> Result<Option<Arc<StoreView>>> {
        let folded = name.folded();
        let has_name = |view: &Arc<StoreView>| view.document.is_there() && view.document.name.as_ref() == Some(name);
        let now = self.clock.monotonic();
        if let Some(id) = self.documents.cache().name(owner, &folded, now)
            && let Some(view) = self.documents.recent(id).await?.filter(has_name)
        {
            return Ok(Some(view));
        }
        let Some(claim) = self.claims.read(&owner, &folded).await? else { return Ok(None) };
        let view = self.documents.read(claim.store_id).await?.filter(has_name);
        if view.is_some() {
            self.documents.cache().remember_name(owner, folded, claim.store_id, now);
        }
        Ok(view)
    }

    /// Finds the store that has a name, for callers other than its owner: two reads, whether or not there is one and whatever
    /// the owner's own look-ups have found; then none for as long as a gateway may believe what it has read. What this gateway
    /// has named meanwhile is found all the same.
    pub async fn find_for_others(&self, owner: UserId, name: &StoreName) -> Result<Option<Arc<StoreView>>> {
        let folded = name.folded();
        let has_name = |view: &Arc<StoreView>| view.document.is_there() && view.document.name.as_ref() == Some(name);
        let (cache, now) = (self.documents.cache(), self.clock.monotonic());
        if let Some(told) = cache.told(owner, &folded, now) {
            let Some(id) = cache.name(owner, &folded, now).or(told.store) else { return Ok(None) };
            return Ok(self.documents.recent(id).await?.filter(has_name));
        }
        let view = if let Some(claim) = self.claims.read(&owner, &folded).await? {
            self.documents.read(claim.store_id).await?.filter(has_name)
        } else {
            let vacant = StoreId::vacant(self.hasher.hash_one((owner, &folded)));
            self.documents.read_in_vain(vacant).await?;
            None
        };
        cache.tell(owner, folded, view.as_ref().map(|view| view.document.id), now);
        Ok(view)
    }

    /// The store that has a name; made of `document` (which wants the name) if there is none.
    pub async fn get_or_create(
        &self,
        owner: UserId,
        name: &StoreName,
        document: impl Fn() -> Document,
    ) -> Result<Created> {
        let _turn = self.turn(owner, name).await;
        for _ in 0..MAX_ATTEMPTS {
            match self.holder(owner, name).await? {
                Holder::Store(store) if store.document.name.as_ref() == Some(name) => {
                    return Ok(Created { store, is_new: false });
                }
                Holder::Store(store) if store.document.phase == Phase::Creating => {
                    if let Some(store) = self.finish_naming(store, name).await? {
                        return Ok(Created { store, is_new: false });
                    }
                }
                // A store with another name, or none, is not given away for a rename that was not acknowledged.
                Holder::Store(store) => self.undo_rename(store, name).await?,
                Holder::Nobody(stale) => {
                    if let Some(store) = self.create(document(), name, stale.as_ref()).await? {
                        return Ok(Created { store, is_new: true });
                    }
                }
            }
        }
        Err(too_contended(name))
    }

    /// Gives a store a name that it does not have yet, in the document at last.
    pub async fn rename(&self, current: &StoreView, name: &StoreName) -> Result<()> {
        let Document { id, owner_id: owner, .. } = current.document;
        let _turn = self.turn(owner, name).await;
        if let Holder::Store(holder) = self.holder(owner, name).await?
            && holder.document.id != id
        {
            return Err(Error::NameTaken);
        }
        // Whatever becomes of the writes that follow: the upkeep looks at the store, and finishes or undoes them.
        self.appointments.announce(id).await?;
        self.documents.update(id, |document| self.want(document, name)).await?;
        for _ in 0..MAX_ATTEMPTS {
            let claim = self.claims.read(&owner, &name.folded()).await?;
            if let Some(holder) = self.wanted_by(claim.as_ref(), name).await?
                && holder.document.id != id
            {
                self.documents.update(id, |document| self.want_no_more(document)).await?;
                return Err(Error::NameTaken);
            }
            if self.claims.claim(&owner, &name.folded(), id, claim.as_ref()).await? {
                let named = self.documents.update(id, |document| self.accept(document, name)).await?;
                // Who wanted the name for a new store meanwhile has undone this.
                if named.document.name.as_ref() != Some(name) {
                    return Err(Error::NameTaken);
                }
                self.documents.cache().remember_name(owner, name.folded(), id, named.read_at);
                return Ok(());
            }
        }
        Err(too_contended(name))
    }

    /// Ends a rename that was not acknowledged, if it is still under way.
    async fn undo_rename(&self, store: Arc<StoreView>, name: &StoreName) -> Result<()> {
        self.appointments.announce(store.document.id).await?;
        let now = self.clock.now();
        let undo = |document: &mut Document| {
            let is_under_way = document.is_there() && document.pending_name.as_ref() == Some(name);
            Ok(is_under_way && life::abandon_name(document, now))
        };
        unless_deleted(self.documents.update_from(store, undo).await).map(drop)
    }

    /// Makes a store and claims its name; `None` when somebody else's claim came first, or somebody has seen and deleted it
    /// already: then the store is gone again.
    async fn create(
        &self,
        document: Document,
        name: &StoreName,
        stale: Option<&Claim>,
    ) -> Result<Option<Arc<StoreView>>> {
        let owner = document.owner_id;
        self.appointments.announce_new(document.id, (owner, document.created_at)).await?;
        let view = self.documents.create(document).await?;
        if !self.claims.claim(&owner, &name.folded(), view.document.id, stale).await? {
            self.removals.bury(view).await?;
            return Ok(None);
        }
        let named = self.documents.update_from(view, |document| self.accept(document, name)).await;
        let Some(store) = unless_deleted(named)? else { return Ok(None) };
        self.documents.cache().remember_name(owner, name.folded(), store.document.id, store.read_at);
        Ok(Some(store))
    }

    /// Sees to it that a store which is being made and claims `name` has it; `None` if it does not want it any more.
    ///
    /// The store of a request or a gateway that died half-way is helped to its name: its claim is written once more, so
    /// that nobody who saw it as stale can still take it over, and then the name stands in the document.
    async fn finish_naming(&self, store: Arc<StoreView>, name: &StoreName) -> Result<Option<Arc<StoreView>>> {
        let Document { id, owner_id: owner, .. } = store.document;
        let claim = self.claims.read(&owner, &name.folded()).await?.filter(|claim| claim.store_id == id);
        let Some(claim) = claim else { return Ok(None) };
        self.appointments.announce(id).await?;
        self.documents.publish_again(&store.document).await?;
        if !self.claims.claim(&owner, &name.folded(), id, Some(&claim)).await? {
            return Ok(None);
        }
        let accept = |document: &mut Document| self.accept(document, name);
        let Some(named) = unless_deleted(self.documents.update(id, accept).await)? else { return Ok(None) };
        let named = Some(named).filter(|view| view.document.is_there() && view.document.name.as_ref() == Some(name));
        if let Some(view) = &named {
            self.documents.cache().remember_name(owner, name.folded(), id, view.read_at);
        }
        Ok(named)
    }

    /// Who holds a name, read afresh.
    async fn holder(&self, owner: UserId, name: &StoreName) -> Result<Holder> {
        let claim = self.claims.read(&owner, &name.folded()).await?;
        Ok(match self.wanted_by(claim.as_ref(), name).await? {
            Some(store) => Holder::Store(store),
            None => Holder::Nobody(claim),
        })
    }

    /// The store of a claim, if the claim is not stale.
    async fn wanted_by(&self, claim: Option<&Claim>, name: &StoreName) -> Result<Option<Arc<StoreView>>> {
        let Some(claim) = claim else { return Ok(None) };
        let store = self.documents.read(claim.store_id).await?;
        Ok(store.filter(|view| view.document.lays_claim_to(name)))
    }

    /// Says in a document which name it is about to have, and that the store lives on until it has it.
    fn want(&self, document: &mut Document, name: &StoreName) -> Result<bool> {
        if !document.is_visible(self.documents.now()) {
            return Err(Error::StoreNotFound);
        }
        let now = self.documents.expiry_base();
        if document.name.is_none() {
            document.expires_at = document.expires_at.max(Some(life::end_of_life(document.retention, now)));
        }
        if document.pending_name.as_ref() != Some(name) {
            life::abandon_name(document, now);
        }
        document.pending_name = Some(name.clone());
        Ok(true)
    }

    /// Gives a document the name it is about to have, unless it has it already or does not want it any more.
    fn accept(&self, document: &mut Document, name: &StoreName) -> Result<bool> {
        match document.phase {
            Phase::Deleted { .. } => return Err(Error::StoreNotFound),
            Phase::Creating => document.phase = Phase::Live,
            Phase::Live | Phase::Copying(_) | Phase::Frozen(_) | Phase::Arriving(_) => {}
        }
        if document.pending_name.as_ref() != Some(name) {
            return Ok(false);
        }
        life::name(document, self.clock.now());
        Ok(true)
    }

    fn want_no_more(&self, document: &mut Document) -> Result<bool> {
        if !document.is_there() {
            return Err(Error::StoreNotFound);
        }
        Ok(life::abandon_name(document, self.clock.now()))
    }

    /// Waits until no other task of this gateway works on the name.
    async fn turn(&self, owner: UserId, name: &StoreName) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one((owner, name.folded()));
        self.queues[usize::try_from(hash % NAME_QUEUES as u64).unwrap_or(0)].lock().await
    }
}

/// `None` for a store that was deleted meanwhile: whoever wants one of its name is not told of it, but given another.
fn unless_deleted(named: Result<Arc<StoreView>>) -> Result<Option<Arc<StoreView>>> {
    match named {
        Err(Error::StoreNotFound) => Ok(None),
        named => named.map(Some),
    }
}

fn too_contended(name: &StoreName) -> Error {
    Error::unavailable(format!("too many stores want the name {name} at once"))
}
