//! The catalog of stores: make, find, change, delete.
//!
//! Whatever changes a store reads its document afresh and writes it conditionally; only looking one up may answer from
//! the cache. A change that has begun runs to its end, also when whoever asked for it goes away: half of one would be
//! put right sooner or later, but not what this gateway remembers of it.

use std::{future::Future, sync::Arc};

use tokio_util::task::TaskTracker;

use crate::{
    clock::{Clock, Random, Timestamp},
    storage::ObjectStore,
};

use super::{
    activity::{Activity, ActivityCounts, StoreUse, Use},
    cache::{CacheOptions, ViewCache},
    claims::Claims,
    document::{DOCUMENT_FORMAT, Document, GeneralAccess, Phase, Place, Stats, nonce},
    documents::Documents,
    error::{Error, Result},
    id::{StoreId, UserId},
    index::Index,
    layout::EntryKind,
    listing::{self, StorePage, StoreQuery},
    name::StoreName,
    naming::{Created, Naming},
    records::Records,
    removal::Removals,
    retention::{LifecycleClass, Retention},
    schema::Schema,
    view::StoreView,
};

/// Options of the catalog.
#[derive(Debug, Clone)]
pub struct CatalogOptions {
    /// How long new unnamed stores live after their last change.
    pub retention: Retention,
    /// What is remembered of stores.
    pub cache: CacheOptions,
}

impl Default for CatalogOptions {
    fn default() -> Self {
        Self { retention: Retention::DEFAULT, cache: CacheOptions::default() }
    }
}

/// How a store is addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocator {
    /// By its id.
    Id(StoreId),
    /// By its owner and its name.
    Name(UserId, StoreName),
}

/// A store that is to be.
#[derive(Debug, Clone, Default)]
pub struct NewStore {
    /// Its name; without one it is unnamed.
    pub name: Option<StoreName>,
    /// Its schema.
    pub schema: Option<Schema>,
}

/// What becomes of something that may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It goes.
    Clear,
    /// It becomes this.
    Set(T),
}

/// Changes of a store.
#[derive(Debug, Clone, Default)]
pub struct StoreUpdate {
    /// Its name.
    pub name: Change<StoreName>,
    /// Its title.
    pub title: Change<String>,
    /// Its access, unless that stays.
    pub general_access: Option<GeneralAccess>,
}

/// All stores.
#[derive(Debug)]
pub struct Catalog {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    retention: Retention,
    documents: Arc<Documents>,
    index: Arc<Index>,
    naming: Naming,
    removals: Arc<Removals>,
    activity: Arc<Activity>,
    changes: TaskTracker,
}

impl Catalog {
    /// The stores in `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: &CatalogOptions,
    ) -> Self {
        let cache = ViewCache::new(&options.cache);
        let documents = Arc::new(Documents::new(objects.clone(), clock.clone(), random.clone(), cache));
        let claims = Arc::new(Claims::new(objects.clone(), random.clone()));
        let index = Arc::new(Index::new(objects.clone(), clock.clone(), options.cache.staleness));
        let removals = Removals::new(objects.clone(), documents.clone(), claims.clone(), index.clone(), clock.clone());
        let removals = Arc::new(removals);
        Self {
            naming: Naming::new(documents.clone(), claims, index.clone(), removals.clone(), clock.clone()),
            activity: Arc::new(Activity::new(clock.clone())),
            retention: options.retention,
            objects,
            clock,
            random,
            documents,
            index,
            removals,
            changes: TaskTracker::new(),
        }
    }

    /// The records of these stores.
    pub fn records(&self) -> Records {
        Records::new(self.objects.clone(), self.clock.clone(), self.documents.clone(), self.activity.clone())
    }

    /// Finds a store, from the cache where that is fresh enough: else one read by id, two by name.
    pub async fn resolve(&self, locator: &StoreLocator) -> Result<Arc<StoreView>> {
        let found = match locator {
            StoreLocator::Id(id) => self.documents.recent(*id).await?,
            StoreLocator::Name(owner, name) => self.naming.find(*owner, name).await?,
        };
        found.filter(|view| view.document.is_visible()).ok_or(Error::StoreNotFound)
    }

    /// Counters and dates of a store, what is not written down yet included. Costs no call.
    pub fn activity(&self, store: &StoreView) -> ActivityCounts {
        self.activity.of(&store.document)
    }

    /// Counts that a store was looked at.
    pub fn looked_at(&self, store: &StoreView) {
        self.activity.count(store.document.id, Use::Looked);
    }

    /// Writes down what has been counted of stores' use; how many stores that were.
    pub async fn flush_activity(&self) -> Result<usize> {
        self.activity.flush(&self.documents).await
    }

    /// What has been counted here and is not written down: for a gateway that writes no documents, to be told to the one
    /// that does ([`Catalog::count_use`]).
    pub fn pending_use(&self) -> Vec<StoreUse> {
        self.activity.pending()
    }

    /// Forgets what that gateway has been told.
    pub fn use_was_told(&self, told: &[StoreUse]) {
        for used in told {
            self.activity.told(used);
        }
    }

    /// Counts what was counted by another gateway. Whether there are such stores shows when it is written down.
    pub fn count_use(&self, told: &[StoreUse]) {
        for used in told {
            self.activity.absorb(used);
        }
    }

    /// Reads a store, and what these names mean, afresh when they are looked up next: another gateway has changed them on
    /// behalf of this one, which must not show what was before.
    pub fn outdate(&self, store: Option<StoreId>, names: &[(UserId, StoreName)]) {
        let now = self.clock.monotonic();
        let cache = self.documents.cache();
        if let Some(id) = store {
            cache.outdate(id, now);
        }
        for (owner, name) in names {
            cache.outdate_name(*owner, name.folded(), now);
        }
        self.index.outdate(now);
    }

    /// Reads everything afresh: another gateway has changed a store on behalf of this one, and it is not known which.
    pub fn outdate_all(&self) {
        let now = self.clock.monotonic();
        self.documents.cache().outdate_all(now);
        self.index.outdate(now);
    }

    /// Makes a store; with a name that the owner has given already, gives that store as it is.
    pub async fn create(self: &Arc<Self>, owner: UserId, new: NewStore) -> Result<Created> {
        let catalog = Arc::clone(self);
        self.run_to_its_end(async move {
            let Some(name) = new.name.clone() else { return catalog.create_unnamed(owner, new).await };
            let document = || catalog.new_document(owner, new.clone(), Phase::Creating);
            catalog.naming.get_or_create(owner, &name, document).await
        })
        .await
    }

    /// Changes a store.
    pub async fn update(self: &Arc<Self>, id: StoreId, update: StoreUpdate) -> Result<Arc<StoreView>> {
        let catalog = Arc::clone(self);
        self.run_to_its_end(async move { catalog.change(id, update).await }).await
    }

    /// Deletes a store: gone at once for this gateway, within the staleness bound for others. Its records are removed in
    /// the background ([`Catalog::remove_due`]).
    pub async fn delete(self: &Arc<Self>, id: StoreId) -> Result<()> {
        let catalog = Arc::clone(self);
        self.run_to_its_end(async move {
            let view = catalog.documents.read(id).await?.filter(|view| view.document.is_visible());
            catalog.removals.bury(view.ok_or(Error::StoreNotFound)?).await
        })
        .await
    }

    /// A page of an owner's stores.
    pub async fn list(&self, owner: UserId, query: &StoreQuery) -> Result<StorePage> {
        listing::list(&self.index, &self.documents, owner, query).await
    }

    /// Removes the records of deleted stores, as far as that is due; how many stores were worked on.
    pub async fn remove_due(&self) -> Result<usize> {
        self.removals.run().await
    }

    /// Waits for the changes that have begun. What has been counted is still to be written down, or told.
    pub async fn finish(&self) {
        self.changes.close();
        self.changes.wait().await;
    }

    /// Waits for the changes that have begun, and writes down what has been counted.
    pub async fn close(&self) -> Result<()> {
        self.finish().await;
        self.flush_activity().await.map(|_| ())
    }

    async fn run_to_its_end<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.changes.spawn(change).await.unwrap_or_else(|failure| Err(Error::unavailable(failure)))
    }

    async fn create_unnamed(&self, owner: UserId, new: NewStore) -> Result<Created> {
        let document = self.new_document(owner, new, Phase::Live);
        let entry = self.index.write(&document, EntryKind::Passing).await?;
        let store = self.documents.create(document).await?;
        self.index.announce(owner, &entry);
        Ok(Created { store, is_new: true })
    }

    async fn change(&self, id: StoreId, update: StoreUpdate) -> Result<Arc<StoreView>> {
        let current = self.documents.read(id).await?.filter(|view| view.document.is_visible());
        let current = current.ok_or(Error::StoreNotFound)?;
        let has_name = current.document.name.as_ref();
        let (mut is_renamed, mut entry) = (false, None);
        match &update.name {
            Change::Set(name) if has_name != Some(name) => {
                self.naming.rename(&current, name).await?;
                is_renamed = true;
            }
            Change::Clear if has_name.is_some() => {
                entry = Some(self.index.write(&current.document, EntryKind::Passing).await?);
            }
            Change::Keep | Change::Clear | Change::Set(_) => {}
        }
        let now = self.clock.now();
        let store = self.documents.update(id, |document| apply(&update, document, is_renamed, now)).await?;
        if let Some(entry) = entry {
            self.index.announce(store.document.owner_id, &entry);
        }
        Ok(store)
    }

    fn new_document(&self, owner: UserId, new: NewStore, phase: Phase) -> Document {
        let now = self.clock.now();
        let class = if new.name.is_some() { None } else { Some(LifecycleClass::serving(self.retention)) };
        Document {
            format: DOCUMENT_FORMAT,
            id: StoreId::generate(self.random.as_ref()),
            version: 1,
            nonce: nonce(self.random.as_ref()),
            owner_id: owner,
            name: None,
            pending_name: new.name,
            title: None,
            created_at: now,
            modified_at: now,
            accessed_at: now,
            general_access: GeneralAccess::default(),
            schema: new.schema,
            act_id: None,
            act_run_id: None,
            retention: self.retention,
            expires_at: None,
            secret_rotation: 0,
            place: Place { class, generation: "1".to_owned(), born_at: now },
            phase,
            stats: Stats::default(),
        }
    }
}

/// Makes the changes of an update but for a new name, which the document has already if it `is_renamed`; whether there
/// is anything to write.
fn apply(update: &StoreUpdate, document: &mut Document, is_renamed: bool, now: Timestamp) -> Result<bool> {
    if !document.is_visible() {
        return Err(Error::StoreNotFound);
    }
    let settings = |document: &Document| {
        let name = document.name.as_ref().map(|name| name.as_str().to_owned());
        (name, document.title.clone(), document.general_access)
    };
    let before = settings(document);
    match &update.name {
        Change::Clear => document.name = None,
        // The same name, maybe in other letters.
        Change::Set(name) if document.name.as_ref() == Some(name) => document.name = Some(name.clone()),
        Change::Set(_) | Change::Keep => {}
    }
    match &update.title {
        Change::Keep => {}
        Change::Clear => document.title = None,
        Change::Set(title) => document.title = Some(title.clone()),
    }
    if let Some(general_access) = update.general_access {
        document.general_access = general_access;
    }
    let is_changed = is_renamed || settings(document) != before;
    if is_changed {
        document.modified_at = document.modified_at.max(now);
    }
    Ok(is_changed)
}
