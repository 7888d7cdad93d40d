//! Which stores are shared with whom: what the stores' own documents say, found the other way round.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    kv::{self, Catalog, StoreId, StoreLocator, StoreView, UserId, names_below, remove_json, write_json},
    storage::{ObjectStore, Precondition},
};

use super::error::Result;

/// Where it stands which stores a user was let into.
const SHARED: &str = "larder/auth/shared/";

/// Stores that are looked at at the same time.
const CONCURRENCY: usize = 16;

/// An entry says nothing but that it is there: what the user may do, the store's document says.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {}

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
        write_json(self.objects.as_ref(), &entry(user, store), &Entry {}, Precondition::None).await?;
        Ok(())
    }

    /// Notes that a store is not shared with a user any more.
    pub async fn forget(&self, user: &UserId, store: &StoreId) -> Result<()> {
        Ok(remove_json(self.objects.as_ref(), &entry(user, store)).await?)
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
                    self.forget(user, &id).await.map_err(kv::Error::unavailable)?;
                    Ok(None)
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
