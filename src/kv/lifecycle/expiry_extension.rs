//! Expiry extension of unnamed stores under change: a change is acknowledged only when the store document has a
//! sufficient expiry. The expiry is recorded one step ahead, so a store in use costs one write per step.

use std::{
    fmt::Debug,
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::{
    clock::Clock,
    kv::{
        model::{
            errors::{Error, Result},
            ids::StoreId,
        },
        persist::{
            cache::CacheEntry,
            repository::StoreRepository,
            store_metadata::{Document, StoreSnapshot},
        },
    },
};

use super::state_machine::LifecyclePolicy;

/// Number of queues in which changes of stores wait for an extension.
const LOCK_SHARDS: usize = 64;

/// Maximum number of extensions before a change is acknowledged, while each takes long.
const MAX_FINAL_EXTENSIONS: usize = 3;

/// Minimum time after which a change in progress extends the expiry again.
const MIN_EXTENSION_INTERVAL: Duration = Duration::from_millis(100);

/// Extension of the expiry of stores.
#[async_trait]
pub trait ExtendExpiry: Debug + Send + Sync {
    /// Extends the expiry of a store that is changed now, so it lives its whole retention.
    async fn extend(&self, id: StoreId) -> Result<()>;
}

/// Extension by a write of the store document.
#[derive(Debug)]
pub struct LocalExtension {
    repository: Arc<StoreRepository>,
    policy: Arc<LifecyclePolicy>,
}

impl LocalExtension {
    /// Returns an extension through `repository`.
    pub fn new(repository: Arc<StoreRepository>, policy: Arc<LifecyclePolicy>) -> Self {
        Self { repository, policy }
    }
}

#[async_trait]
impl ExtendExpiry for LocalExtension {
    async fn extend(&self, id: StoreId) -> Result<()> {
        let snapshot = self.repository.read_cached(id).await?.ok_or(Error::StoreNotFound)?;
        let extend = |document: &mut Document| {
            self.policy.extend_expiry(document, self.repository.now(), self.repository.expiry_base())
        };
        match self.repository.update_from(snapshot, extend).await {
            // The cached document may be stale.
            Err(Error::StoreNotFound) => self.repository.update(id, extend).await.map(drop),
            extended => extended.map(drop),
        }
    }
}

/// Extender of the expiry of stores while they are changed.
#[derive(Debug)]
pub struct ExpiryExtender {
    repository: Arc<StoreRepository>,
    policy: Arc<LifecyclePolicy>,
    clock: Arc<dyn Clock>,
    extension: Arc<dyn ExtendExpiry>,
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl ExpiryExtender {
    /// Returns an instance that extends through `extension`.
    pub fn new(
        repository: Arc<StoreRepository>,
        policy: Arc<LifecyclePolicy>,
        clock: Arc<dyn Clock>,
        extension: Arc<dyn ExtendExpiry>,
    ) -> Self {
        let locks = (0..LOCK_SHARDS).map(|_| Mutex::default()).collect();
        Self { repository, policy, clock, extension, locks, hasher: RandomState::new() }
    }

    /// Runs a change of a store, and extends the expiry so the store lives its whole retention afterwards, unless it
    /// has a name. Makes no call if the document already allows it; else one write, concurrent with the change.
    pub async fn extend_during<T>(&self, store: &StoreSnapshot, change: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.policy.toggles.extends_before_acknowledging {
            return change.await;
        }
        let (changed, extended) = futures_util::join!(self.keep_alive(store, change), self.extend_if_due(store));
        let changed = changed?;
        extended?;
        // The retention also counts from the end of a long change; extend again if the extension itself took long.
        for _ in 0..MAX_FINAL_EXTENSIONS {
            if self.expires_late_enough(store) {
                break;
            }
            self.extend_if_due(store).await?;
        }
        Ok(changed)
    }

    /// Runs a change that takes longer than the store would live.
    async fn keep_alive<T>(&self, store: &StoreSnapshot, change: impl Future<Output = Result<T>>) -> Result<T> {
        let pause = (store.document.retention.duration() / 2).max(MIN_EXTENSION_INTERVAL);
        let mut change = pin!(change);
        loop {
            let paused = tokio::select! {
                biased;
                changed = &mut change => return changed,
                () = self.clock.sleep(pause) => self.extend_if_due(store),
            };
            // A failure is retried, at the latest before the change is acknowledged.
            let _ = paused.await;
        }
    }

    async fn extend_if_due(&self, store: &StoreSnapshot) -> Result<()> {
        if self.expires_late_enough(store) {
            return Ok(());
        }
        let id = store.document.id;
        let shard = usize::try_from(self.hasher.hash_one(id) % LOCK_SHARDS as u64).unwrap_or(0);
        let _guard = self.locks[shard].lock().await;
        // The first in the queue did it for all.
        if self.expires_late_enough(store) { Ok(()) } else { self.extension.extend(id).await }
    }

    /// Returns whether the known expiry is late enough. Only a fresh snapshot counts: since the snapshot of a long change the
    /// store may have lost its name or got a shorter retention.
    fn expires_late_enough(&self, store: &StoreSnapshot) -> bool {
        let now = self.repository.expiry_base();
        let is_enough = |document: &Document| {
            let needed = now.plus(document.retention.duration());
            document.name.is_some() || document.expires_at.is_some_and(|at| at >= needed)
        };
        let (cache, at) = (self.repository.cache(), self.clock.monotonic());
        match cache.store(&store.document.id, at) {
            Some(CacheEntry::Store(latest)) => is_enough(&latest.document),
            Some(CacheEntry::Absent { .. } | CacheEntry::Invalidated { .. }) | None => {
                cache.is_fresh(store, at) == Some(true) && is_enough(&store.document)
            }
        }
    }
}
