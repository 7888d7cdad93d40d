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
            cache::Known,
            repository::Documents,
            store_metadata::{Document, StoreView},
        },
    },
};

use super::state_machine::LifecyclePolicy;

/// Number of queues in which changes of stores wait for an extension.
const QUEUES: usize = 64;

/// Maximum number of extensions before a change is acknowledged, while each takes long.
const RENEWALS_AT_THE_END: usize = 3;

/// Minimum time after which a change in progress extends the expiry again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Extends the expiry of stores.
#[async_trait]
pub trait Renew: Debug + Send + Sync {
    /// Extends the expiry of a store that is changed now, so it lives its whole retention.
    async fn renew(&self, id: StoreId) -> Result<()>;
}

/// Extends the expiry by writing the document.
#[derive(Debug)]
pub struct WrittenRenewals {
    documents: Arc<Documents>,
    policy: Arc<LifecyclePolicy>,
}

impl WrittenRenewals {
    /// Returns an extension through `documents`.
    pub fn new(documents: Arc<Documents>, policy: Arc<LifecyclePolicy>) -> Self {
        Self { documents, policy }
    }
}

#[async_trait]
impl Renew for WrittenRenewals {
    async fn renew(&self, id: StoreId) -> Result<()> {
        let view = self.documents.recent(id).await?.ok_or(Error::StoreNotFound)?;
        let renew =
            |document: &mut Document| self.policy.renew(document, self.documents.now(), self.documents.expiry_base());
        match self.documents.update_from(view, renew).await {
            // The cached document may be stale.
            Err(Error::StoreNotFound) => self.documents.update(id, renew).await.map(drop),
            renewed => renewed.map(drop),
        }
    }
}

/// Keeps stores alive while they are changed.
#[derive(Debug)]
pub struct Renewals {
    documents: Arc<Documents>,
    policy: Arc<LifecyclePolicy>,
    clock: Arc<dyn Clock>,
    renew: Arc<dyn Renew>,
    queues: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Renewals {
    /// Returns an instance that extends through `renew`.
    pub fn new(
        documents: Arc<Documents>,
        policy: Arc<LifecyclePolicy>,
        clock: Arc<dyn Clock>,
        renew: Arc<dyn Renew>,
    ) -> Self {
        let queues = (0..QUEUES).map(|_| Mutex::default()).collect();
        Self { documents, policy, clock, renew, queues, hasher: RandomState::new() }
    }

    /// Runs a change of a store, and extends the expiry so the store lives its whole retention afterwards, unless it
    /// has a name. Makes no call if the document already allows it; else one write, concurrent with the change.
    pub async fn during<T>(&self, store: &StoreView, change: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.policy.safeguards.renews_before_acknowledging {
            return change.await;
        }
        let (changed, renewed) = futures_util::join!(self.keep_alive(store, change), self.renew_if_due(store));
        let changed = changed?;
        renewed?;
        // The retention also counts from the end of a long change; extend again if the extension itself took long.
        for _ in 0..RENEWALS_AT_THE_END {
            if self.is_long_enough(store) {
                break;
            }
            self.renew_if_due(store).await?;
        }
        Ok(changed)
    }

    /// Runs a change that takes longer than the store would live.
    async fn keep_alive<T>(&self, store: &StoreView, change: impl Future<Output = Result<T>>) -> Result<T> {
        let pause = (store.document.retention.duration() / 2).max(SHORTEST_PAUSE);
        let mut change = pin!(change);
        loop {
            let paused = tokio::select! {
                biased;
                changed = &mut change => return changed,
                () = self.clock.sleep(pause) => self.renew_if_due(store),
            };
            // A failure is retried, at the latest before the change is acknowledged.
            let _ = paused.await;
        }
    }

    async fn renew_if_due(&self, store: &StoreView) -> Result<()> {
        if self.is_long_enough(store) {
            return Ok(());
        }
        let id = store.document.id;
        let queue = usize::try_from(self.hasher.hash_one(id) % QUEUES as u64).unwrap_or(0);
        let _turn = self.queues[queue].lock().await;
        // The first in the queue did it for all.
        if self.is_long_enough(store) { Ok(()) } else { self.renew.renew(id).await }
    }

    /// Returns whether the known expiry is late enough. Only a fresh view counts: since the view of a long change the
    /// store may have lost its name or got a shorter retention.
    fn is_long_enough(&self, store: &StoreView) -> bool {
        let now = self.documents.expiry_base();
        let is_enough = |document: &Document| {
            let needed = now.plus(document.retention.duration());
            document.name.is_some() || document.expires_at.is_some_and(|at| at >= needed)
        };
        let (cache, at) = (self.documents.cache(), self.clock.monotonic());
        match cache.store(&store.document.id, at) {
            Some(Known::Store(latest)) => is_enough(&latest.document),
            Some(Known::Absent { .. } | Known::Outdated { .. }) | None => {
                cache.is_young(store, at) == Some(true) && is_enough(&store.document)
            }
        }
    }
}
