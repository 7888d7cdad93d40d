//! The catalog of stores: create, find, change, delete.
//!
//! Every change of a store rereads its document and replaces it by compare-and-swap; only lookups may use the cache.
//! A change that has begun runs to completion even if the client disconnects: a partial change would be repaired
//! eventually, but this gateway's cache would not.

use std::{
    future::Future,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio_util::task::TaskTracker;

use crate::{
    clock::{Clock, ClockGuard, Random},
    storage::ObjectStore,
    telemetry::request_context,
};

use super::{
    lifecycle::{
        deletion::Deleter,
        due_queue::DueQueue,
        expiry_extension::{ExpiryExtender, ExtendExpiry, LocalExtension},
        reconciler::{Failures, Reconciler},
        relocation::Relocator,
        state_machine::LifecyclePolicy,
    },
    listing::index::{self, Index, StorePage, StoreQuery},
    model::{
        errors::{Error, Result},
        ids::{StoreId, UserId},
        names::StoreName,
        retention::{DefaultRetention, Retention},
    },
    naming::{Created, Naming},
    persist::{
        cache::{CacheCounters, CacheOptions, StoreCache},
        name_claims::Claims,
        repository::{SafetyToggles, StoreRepository},
        store_metadata::{Document, Phase, StoreSnapshot},
    },
    records::Records,
    store_update::{NewStore, Patch, StoreLocator, StoreUpdate, apply},
    usage_counters::{ActivityCounts, StoreUsage, UsageCounters, UsageEvent},
    usage_totals::{OwnerTotals, Recounter, Totals, Usage},
};

/// All stores.
#[derive(Debug)]
pub struct Catalog {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    retention: DefaultRetention,
    repository: Arc<StoreRepository>,
    index: Arc<Index>,
    naming: Naming,
    deleter: Arc<Deleter>,
    due_queue: Arc<DueQueue>,
    reconciler: Arc<Reconciler>,
    policy: Arc<LifecyclePolicy>,
    usage_counters: Arc<UsageCounters>,
    recounter: Recounter,
    owner_totals: Arc<OwnerTotals>,
    totals: Arc<Totals>,
    changes: TaskTracker,
}

impl Catalog {
    /// Returns the catalog of the stores in `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: &CatalogOptions,
    ) -> Self {
        let cache = StoreCache::new(&options.cache);
        let policy = Arc::new(LifecyclePolicy {
            has_classes: options.classes.is_some(),
            staleness: options.classes.unwrap_or_default(),
            toggles: options.toggles,
        });
        let guard = options.clock_guard.clone().unwrap_or_else(|| Arc::new(ClockGuard::trusting(clock.clone())));
        let clocks = (clock.clone(), guard.clone());
        let index = Arc::new(Index::new(objects.clone(), clocks.clone(), options.cache.staleness));
        let (observer, toggles) = (index.clone(), options.toggles);
        let repository = StoreRepository::new(objects.clone(), clocks, random.clone(), cache, observer, toggles);
        let repository = Arc::new(repository);
        let due_queue = Arc::new(DueQueue::new(objects.clone(), clock.clone(), random.clone(), guard.clone()));
        let claims = Arc::new(Claims::new(objects.clone(), random.clone()));
        let deleter = Arc::new(Deleter::new(
            objects.clone(),
            repository.clone(),
            claims.clone(),
            due_queue.clone(),
            policy.clone(),
            clock.clone(),
            guard.clone(),
        ));
        let relocator = Arc::new(Relocator::new(objects.clone(), repository.clone(), policy.clone(), clock.clone()));
        let reconciler = Reconciler::new(
            repository.clone(),
            due_queue.clone(),
            deleter.clone(),
            relocator,
            index.clone(),
            policy.clone(),
            clock.clone(),
            guard,
            options.expiry_confirmation,
        );
        let recounter = Recounter::new(objects.clone(), repository.clone(), clock.clone(), options.count_interval);
        let totals = Arc::new(Totals::new(objects.clone()));
        let owner_totals = OwnerTotals::new(objects.clone(), index.clone(), clock.clone());
        Self {
            naming: Naming::new(repository.clone(), claims, deleter.clone(), due_queue.clone(), clock.clone()),
            due_queue,
            reconciler: Arc::new(reconciler),
            policy,
            usage_counters: Arc::new(UsageCounters::new(clock.clone())),
            recounter,
            owner_totals: Arc::new(owner_totals),
            totals,
            retention: DefaultRetention::new(options.retention),
            objects,
            clock,
            random,
            repository,
            index,
            deleter,
            changes: TaskTracker::new(),
        }
    }

    /// Returns the records of these stores.
    pub fn records(&self) -> Records {
        self.records_extended_by(Arc::new(LocalExtension::new(self.repository.clone(), self.policy.clone())))
    }

    /// Returns the records of these stores, with expiry extended through `extension`: for a gateway that writes no
    /// documents.
    pub fn records_extended_by(&self, extension: Arc<dyn ExtendExpiry>) -> Records {
        let extender = ExpiryExtender::new(self.repository.clone(), self.policy.clone(), self.clock.clone(), extension);
        Records::new(
            self.objects.clone(),
            self.clock.clone(),
            self.repository.clone(),
            self.usage_counters.clone(),
            extender,
            self.policy.clone(),
        )
    }

    /// Extends the expiry of an unnamed store that is being changed through another gateway, so that it lives its
    /// whole retention.
    pub async fn extend_expiry(&self, id: StoreId) -> Result<()> {
        LocalExtension::new(self.repository.clone(), self.policy.clone()).extend(id).await
    }

    /// Finds a store, from the cache if that is fresh, else with one read by id or two by name. By the name of
    /// another owner's store it takes two reads even if there is none.
    pub async fn resolve(&self, locator: &StoreLocator) -> Result<Arc<StoreSnapshot>> {
        let found = match locator {
            StoreLocator::Id(id) => self.repository.find_visible(*id).await?,
            StoreLocator::Name(owner, name) => self.naming.find(*owner, name).await?,
            StoreLocator::ForeignName(owner, name) => self.naming.find_for_others(*owner, name).await?,
        };
        found.ok_or(Error::StoreNotFound)
    }

    /// Returns counters and dates of a store, including unflushed ones. Makes no call.
    pub fn activity(&self, store: &StoreSnapshot) -> ActivityCounts {
        self.usage_counters.counts(&store.document)
    }

    /// Returns the hit and miss counters of the cache.
    pub fn cache_counters(&self) -> &CacheCounters {
        self.repository.cache().counters()
    }

    /// Counts a read of the store itself.
    pub fn count_store_read(&self, store: &StoreSnapshot) {
        self.usage_counters.count(store.document.id, UsageEvent::StoreRead);
    }

    /// Flushes the usage counters. Returns the number of stores written.
    pub async fn flush_usage(&self) -> Result<usize> {
        self.usage_counters.flush(&self.repository, &self.recounter).await
    }

    /// Recounts the contents of stores whose documents show a change. Returns the number of stores counted.
    pub async fn recount(&self) -> Result<usize> {
        self.recounter.run().await
    }

    /// Returns the usage of an owner by the last count. Makes no call except the first time.
    pub async fn usage(&self, owner: UserId) -> Result<Usage> {
        self.owner_totals.get(owner).await
    }

    /// Rereads a store that another gateway has changed on behalf of this one.
    pub async fn refresh(&self, id: StoreId) -> Result<()> {
        self.repository.read(id).await.map(drop)
    }

    /// Returns this gateway's unflushed usage: for a gateway that writes no documents, to report to the one that does
    /// ([`Catalog::merge_usage`]).
    pub fn pending_usage(&self) -> Vec<StoreUsage> {
        self.usage_counters.pending()
    }

    /// Drops usage that the other gateway has acknowledged.
    pub fn ack_usage(&self, reports: &[StoreUsage]) {
        for report in reports {
            self.usage_counters.ack(report);
        }
    }

    /// Adds usage reported by another gateway. The flush finds out whether the stores exist.
    pub fn merge_usage(&self, reports: &[StoreUsage]) {
        for report in reports {
            self.usage_counters.merge(report);
        }
    }

    /// Invalidates a store and these names: another gateway changed them on behalf of this one, which must not serve
    /// the earlier state.
    pub fn invalidate(&self, store: Option<StoreId>, names: &[(UserId, StoreName)]) {
        let now = self.clock.monotonic();
        let cache = self.repository.cache();
        if let Some(id) = store {
            cache.invalidate(id, now);
        }
        for (owner, name) in names {
            cache.invalidate_name(*owner, name.folded(), now);
        }
        self.index.invalidate(now);
    }

    /// Invalidates everything: another gateway changed a store on behalf of this one, and which one is unknown.
    pub fn invalidate_all(&self) {
        let now = self.clock.monotonic();
        self.repository.cache().invalidate_all(now);
        self.index.invalidate(now);
    }

    /// Creates a store. If the owner already has one of that name, returns it unchanged.
    pub async fn create(self: &Arc<Self>, owner: UserId, new: NewStore) -> Result<Created> {
        let catalog = Arc::clone(self);
        self.run_to_completion(async move {
            let Some(name) = new.name.clone() else { return catalog.create_unnamed(owner, new).await };
            let document = || catalog.new_document(owner, new.clone(), Phase::Creating);
            catalog.naming.get_or_create(owner, &name, document).await
        })
        .await
    }

    /// Updates a store.
    pub async fn update(self: &Arc<Self>, id: StoreId, update: StoreUpdate) -> Result<Arc<StoreSnapshot>> {
        let catalog = Arc::clone(self);
        self.run_to_completion(async move { catalog.change(id, update).await }).await
    }

    /// Deletes a store: at once for this gateway, within the staleness bound for others. Its records are purged in
    /// the background ([`Catalog::reconcile_due`]).
    pub async fn delete(self: &Arc<Self>, id: StoreId) -> Result<()> {
        let catalog = Arc::clone(self);
        self.run_to_completion(async move {
            let snapshot = catalog.read(id).await?;
            catalog.deleter.tombstone(snapshot).await
        })
        .await
    }

    /// Returns a page of an owner's stores.
    pub async fn list(&self, owner: UserId, query: &StoreQuery) -> Result<StorePage> {
        index::list(&self.index, &self.repository, owner, query).await
    }

    /// Returns the number of stores of an owner, named or not. Reads no documents.
    pub async fn count(&self, owner: UserId) -> Result<usize> {
        Ok(self.index.read(owner).await?.count())
    }

    /// Reconciles the stores that are due: deletes expired stores, purges deleted ones, starts due relocations. Returns the
    /// number of stores handled.
    pub async fn reconcile_due(&self) -> Result<usize> {
        self.owner_totals.prune();
        self.reconciler.run().await
    }

    /// Returns the number of expired stores that this gateway has deleted.
    pub fn expired_stores(&self) -> &Arc<AtomicU64> {
        self.reconciler.expired()
    }

    /// Returns how much the installation has.
    pub fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    /// Returns the stores whose due items fail on this gateway.
    pub fn failures(&self) -> &Arc<Failures> {
        self.reconciler.failures()
    }

    /// Waits for the relocations that run on this gateway.
    pub async fn wait_for_relocations(&self) {
        self.reconciler.wait_for_relocations().await;
    }

    /// Leaves due items and running relocations to other gateways or to the next start.
    pub fn stop_reconciler(&self) {
        self.reconciler.stop();
    }

    /// Waits for running changes. The usage counters are still to be flushed or reported.
    pub async fn finish(&self) {
        self.reconciler.stop();
        self.reconciler.wait_for_relocations().await;
        self.changes.close();
        self.changes.wait().await;
    }

    /// Waits for running changes and flushes the usage counters.
    pub async fn close(&self) -> Result<()> {
        self.finish().await;
        self.flush_usage().await.map(|_| ())
    }

    /// Returns how long new unnamed stores live after their last change, unless they say otherwise.
    pub fn retention(&self) -> Retention {
        self.retention.get()
    }

    /// Sets the retention of unnamed stores that are created from now on.
    pub fn set_retention(&self, retention: Retention) {
        self.retention.set(retention);
    }

    async fn run_to_completion<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.changes
            .spawn(request_context::with_context(request_context::current(), change))
            .await
            .unwrap_or_else(|failure| Err(Error::unavailable(failure)))
    }

    fn new_document(&self, owner: UserId, new: NewStore, phase: Phase) -> Document {
        new.into_document(
            &self.policy,
            owner,
            phase,
            self.retention.get(),
            self.random.as_ref(),
            self.repository.expiry_base(),
        )
    }

    async fn create_unnamed(&self, owner: UserId, new: NewStore) -> Result<Created> {
        let mut document = self.new_document(owner, new, Phase::Active);
        let first_visit =
            self.policy.next_visit(&document, self.repository.expiry_base()).unwrap_or(document.created_at);
        document.due_at = Some(first_visit);
        self.due_queue.schedule_first(document.id, first_visit, (owner, document.created_at)).await?;
        let store = self.repository.create(document).await?;
        Ok(Created { store, is_new: true })
    }

    async fn change(&self, id: StoreId, update: StoreUpdate) -> Result<Arc<StoreSnapshot>> {
        let current = self.read(id).await?;
        let has_name = current.document.name.as_ref();
        let is_renamed = matches!(&update.name, Patch::Set(name) if has_name != Some(name));
        if let Patch::Set(name) = &update.name
            && is_renamed
        {
            self.naming.rename(&current, name).await?;
        }
        let loses_name = update.name == Patch::Clear && has_name.is_some();
        // A change of the listing or of the expiry is reconciled even if this gateway crashes.
        if loses_name || update.retention != Patch::Keep || update.title != Patch::Keep {
            self.due_queue.schedule_intent(id).await?;
        }
        let (times, retention) = ((self.clock.now(), self.repository.expiry_base()), self.retention.get());
        let apply = |document: &mut Document| apply(&self.policy, &update, document, is_renamed, retention, times);
        let store = self.repository.update(id, apply).await?;
        self.reconciler.relocate_if_needed(&store);
        Ok(store)
    }

    /// Reads the current state of a store.
    async fn read(&self, id: StoreId) -> Result<Arc<StoreSnapshot>> {
        let snapshot =
            self.repository.read(id).await?.filter(|snapshot| snapshot.document.is_visible(self.clock.now()));
        snapshot.ok_or(Error::StoreNotFound)
    }
}

/// Options of the catalog.
#[derive(Debug, Clone)]
pub struct CatalogOptions {
    /// Retention of new unnamed stores after their last change.
    pub retention: Retention,
    /// Options of the cache.
    pub cache: CacheOptions,
    /// Minimum interval between counts of a store that keeps changing.
    pub count_interval: Duration,
    /// Staleness bound of other gateways, if the object store deletes records by lifecycle class; `None` if only the
    /// sweep deletes them, so all records are kept outside the classes.
    pub classes: Option<Duration>,
    /// Guard over deletions; `None` trusts the catalog's clock unconditionally.
    pub clock_guard: Option<Arc<ClockGuard>>,
    /// Uptime of the installation between the first check that finds a store expired and the one that deletes it.
    pub expiry_confirmation: Duration,
    /// Safety toggles: all on, except in simulations.
    pub toggles: SafetyToggles,
}

impl CatalogOptions {
    /// Default time between the two checks: an hour, plus a margin for the coarseness of the recorded uptime.
    pub const EXPIRY_CONFIRMATION: Duration = Duration::from_mins(65);

    /// Minimum time between the two checks that tolerates a clock which is wrong for an hour.
    pub const SHORTEST_SAFE_CONFIRMATION: Duration = Duration::from_hours(1);
}

impl Default for CatalogOptions {
    fn default() -> Self {
        Self {
            retention: Retention::DEFAULT,
            cache: CacheOptions::default(),
            count_interval: Duration::from_mins(1),
            classes: None,
            clock_guard: None,
            expiry_confirmation: Self::EXPIRY_CONFIRMATION,
            toggles: SafetyToggles::ALL,
        }
    }
}
