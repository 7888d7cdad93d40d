//! Which stores are shared with whom: what the stores' own documents say, found the other way round.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    kv::{
        self, Catalog, Note, Right, StoreId, StoreLocator, StoreUpdate, StoreView, UserId, names_below, remove_json,
        write_note,
    },
    storage::ObjectStore,
};

use super::error::Result;

/// Where it stands which stores a user was let into.
pub const SHARED: &str = "larder/auth/shares/";

/// Stores that are looked at at the same time.
const CONCURRENCY: usize = 16;

/// An entry says nothing but that it is there: what the user may do, the store's document says.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {}

impl Note for Entry {}

/// Which stores are shared with whom.
#[derive(Debug)]
pub struct SharedStores {
    objects: Arc<dyn ObjectStore>,
    catalog: Arc<Catalog>,
}

impl SharedStores {
    /// What is shared of the stores in `catalog`.
    pub fn new(objects: Arc<dyn ObjectStore>, catalog: Arc<Catalog>) -> Self {
        Self { objects, catalog }
    }

    /// Notes that a store is about to be shared with a user. Before its document says so: what nobody finds is of no use.
    pub async fn announce(&self, user: &UserId, store: &StoreId) -> Result<()> {
        Ok(write_note(self.objects.as_ref(), &entry(user, store), &Entry {}).await?)
    }

    /// Removes the entry of a store that is not shared with a user any more. A store that another call has shared meanwhile
    /// keeps its entry.
    pub async fn forget(&self, user: &UserId, store: &StoreId) -> Result<(), kv::Error> {
        let removed = remove_json(self.objects.as_ref(), &entry(user, store)).await;
        removed.map_err(kv::Error::unavailable)?;
        self.catalog.refresh(*store).await?;
        match self.catalog.resolve(&StoreLocator::Id(*store)).await {
            Ok(now) if now.document.shares.right_of(user).is_some() => {
                self.announce(user, store).await.map_err(kv::Error::unavailable)
            }
            Ok(_) | Err(kv::Error::StoreNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends the links to all stores that a user may write to by a share; returns how many stores those are.
    pub async fn end_links(&self, user: &UserId) -> Result<usize, kv::Error> {
        let ids = names_below(self.objects.as_ref(), &format!("{SHARED}{user}/")).await;
        let ids = ids.map_err(kv::Error::unavailable)?.into_iter().filter_map(|id| id.parse::<StoreId>().ok());
        let update = StoreUpdate { ends_links_of: Some(*user), ..StoreUpdate::default() };
        let ended = stream::iter(ids)
            .map(async |id| match self.catalog.update(id, update.clone()).await {
                Ok(store) => Ok(usize::from(store.document.shares.right_of(user) >= Some(Right::Write))),
                Err(kv::Error::StoreNotFound) => Ok(0),
                Err(error) => Err(error),
            })
            .buffer_unordered(CONCURRENCY);
        ended.try_fold(0, async |sum, count| Ok(sum + count)).await
    }

    /// The stores that are shared with a user, oldest first. Entries of stores that are gone go, too.
    pub async fn list(&self, user: &UserId) -> Result<Vec<Arc<StoreView>>, kv::Error> {
        let ids =
            names_below(self.objects.as_ref(), &format!("{SHARED}{user}/")).await.map_err(kv::Error::unavailable)?;
        let ids = ids.into_iter().filter_map(|id| id.parse::<StoreId>().ok());
        let stores = stream::iter(ids)
            .map(async |id| match self.catalog.resolve(&StoreLocator::Id(id)).await {
                Ok(store) => Ok(Some(store)),
                // Ids are never used again.
                Err(kv::Error::StoreNotFound) => {
                    let removed = remove_json(self.objects.as_ref(), &entry(user, &id)).await;
                    removed.map(|()| None).map_err(kv::Error::unavailable)
                }
                Err(error) => Err(error),
            })
            .buffer_unordered(CONCURRENCY);
        let is_shared = |store: &StoreView| store.document.shares.right_of(user).is_some();
        let mut stores: Vec<_> =
            stores.try_filter_map(async |store| Ok(store.filter(|store| is_shared(store)))).try_collect().await?;
        stores.sort_by_key(|store| (store.document.created_at, store.document.id));
        Ok(stores)
    }
}

fn entry(user: &UserId, store: &StoreId) -> String {
    format!("{SHARED}{user}/{store}")
}
