//! Keeps unnamed stores alive while they are changed: a change is acknowledged only when the store's document says that it
//! lives long enough from then on. The end is written down a step ahead, so that a store in use costs a write a step.

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

use crate::clock::Clock;

use super::{
    cache::Known,
    document::Document,
    documents::Documents,
    error::{Error, Result},
    id::StoreId,
    life::LifeRules,
    view::StoreView,
};

/// Queues in which changes of stores wait while the end of a life is being put off.
const QUEUES: usize = 64;

/// How often the end of a store's life is put off before a change is acknowledged, while that takes long.
const RENEWALS_AT_THE_END: usize = 3;

/// The shortest time after which a change that is still going on puts off the end again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Puts off the end of stores' lives.
#[async_trait]
pub trait Renew: Debug + Send + Sync {
    /// Makes sure that a store that is changed now lives its whole retention from now on.
    async fn renew(&self, id: StoreId) -> Result<()>;
}

/// Puts it off by writing the document.
#[derive(Debug)]
pub struct WrittenRenewals {
    documents: Arc<Documents>,
    rules: Arc<LifeRules>,
}

impl WrittenRenewals {
    /// Renewals in `documents`.
    pub fn new(documents: Arc<Documents>, rules: Arc<LifeRules>) -> Self {
        Self { documents, rules }
    }
}

#[async_trait]
impl Renew for WrittenRenewals {
    async fn renew(&self, id: StoreId) -> Result<()> {
        let view = self.documents.recent(id).await?.ok_or(Error::StoreNotFound)?;
        let renew =
            |document: &mut Document| self.rules.renew(document, self.documents.now(), self.documents.expiry_base());
        match self.documents.update_from(view, renew).await {
            // What was known may be old.
            Err(Error::StoreNotFound) => self.documents.update(id, renew).await.map(drop),
            renewed => renewed.map(drop),
        }
    }
}

/// Keeps stores alive while they are changed.
#[derive(Debug)]
pub struct Renewals {
    documents: Arc<Documents>,
    rules: Arc<LifeRules>,
    clock: Arc<dyn Clock>,
    renew: Arc<dyn Renew>,
    queues: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Renewals {
    /// Puts off by means of `renew`.
    pub fn new(documents: Arc<Documents>, rules: Arc<LifeRules>, clock: Arc<dyn Clock>, renew: Arc<dyn Renew>) -> Self {
        let queues = (0..QUEUES).map(|_| Mutex::default()).collect();
        Self { documents, rules, clock, renew, queues, hasher: RandomState::new() }
    }

    /// Makes a change of a store, and sees to it that the store lives its whole retention from then on, unless it has a name.
    /// Costs nothing where that stands in the document already; else one write, beside the change and not after it.
    pub async fn during<T>(&self, store: &StoreView, change: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.rules.safeguards.renews_before_acknowledging {
            return change.await;
        }
        let (changed, renewed) = futures_util::join!(self.keep_alive(store, change), self.renew_if_due(store));
        let changed = changed?;
        renewed?;
        // Also from the end of a long change on; and once more if that took long itself.
        for _ in 0..RENEWALS_AT_THE_END {
            if self.is_long_enough(store) {
                break;
            }
            self.renew_if_due(store).await?;
        }
        Ok(changed)
    }

    /// Lets a change go on that takes longer than the store would live.
    async fn keep_alive<T>(&self, store: &StoreView, change: impl Future<Output = Result<T>>) -> Result<T> {
        let pause = (store.document.retention.duration() / 2).max(SHORTEST_PAUSE);
        let mut change = pin!(change);
        loop {
            let paused = tokio::select! {
                biased;
                changed = &mut change => return changed,
                () = self.clock.sleep(pause) => self.renew_if_due(store),
            };
            // What fails now is tried again, at the latest before the change is acknowledged.
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
        // Whoever was first did it for all.
        if self.is_long_enough(store) { Ok(()) } else { self.renew.renew(id).await }
    }

    /// Whether the end of the store's life, as far as it is known, is far enough. Only what may still be believed counts:
    /// since the view of a long change the store may have lost its name, or have been given a shorter life.
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
