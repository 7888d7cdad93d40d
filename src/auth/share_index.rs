//! Index of shared stores by user, the reverse of the stores' own documents.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    kv::{
        self, Catalog, Right, StoreId, StoreLocator, StoreSnapshot, StoreUpdate, UnconditionalWrite, UserId,
        delete_json, list_names, put_unconditionally,
    },
    storage::ObjectStore,
};

use super::user::Result;

/// Prefix of the entries that say which stores are shared with a user.
pub const SHARES: &str = "larder/auth/shares/";

/// Maximum number of stores read concurrently.
const CONCURRENCY: usize = 16;

/// Marker entry without content: the user's right is in the store's document.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {}

impl UnconditionalWrite for Entry {}

/// Index of shared stores by user.
#[derive(Debug)]
pub struct ShareIndex {
    objects: Arc<dyn ObjectStore>,
    catalog: Arc<Catalog>,
}

impl ShareIndex {
    /// Returns the index for the stores in `catalog`.
    pub fn new(objects: Arc<dyn ObjectStore>, catalog: Arc<Catalog>) -> Self {
        Self { objects, catalog }
    }

    /// Adds an entry for a store that is about to be shared with a user. The entry comes before the change of the
    /// store's document: a share that no list shows is of no use.
    pub async fn insert(&self, user: &UserId, store: &StoreId) -> Result<()> {
        Ok(put_unconditionally(self.objects.as_ref(), &entry(user, store), &Entry {}).await?)
    }

    /// Removes the entry of a store that is no longer shared with a user. The entry stays if a concurrent call has
    /// shared the store again.
    pub async fn remove(&self, user: &UserId, store: &StoreId) -> Result<(), kv::Error> {
        let removed = delete_json(self.objects.as_ref(), &entry(user, store)).await;
        removed.map_err(kv::Error::unavailable)?;
        self.catalog.refresh(*store).await?;
        match self.catalog.resolve(&StoreLocator::Id(*store)).await {
            Ok(now) if now.document.shares.right_of(user).is_some() => {
                self.insert(user, store).await.map_err(kv::Error::unavailable)
            }
            Ok(_) | Err(kv::Error::StoreNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Revokes the links to all stores to which a user may write by a share; returns the number of those stores.
    pub async fn end_links(&self, user: &UserId) -> Result<usize, kv::Error> {
        let ids = list_names(self.objects.as_ref(), &format!("{SHARES}{user}/")).await;
        let ids = ids.map_err(kv::Error::unavailable)?.into_iter().filter_map(|id| id.parse::<StoreId>().ok());
        let update = StoreUpdate { revoke_links_of: Some(*user), ..StoreUpdate::default() };
        let ended = stream::iter(ids)
            .map(async |id| match self.catalog.update(id, update.clone()).await {
                Ok(store) => Ok(usize::from(store.document.shares.right_of(user) >= Some(Right::Write))),
                Err(kv::Error::StoreNotFound) => Ok(0),
                Err(error) => Err(error),
            })
            .buffer_unordered(CONCURRENCY);
        ended.try_fold(0, async |sum, count| Ok(sum + count)).await
    }

    /// Lists the stores that are shared with a user, oldest first. Removes the entries of deleted stores.
    pub async fn list(&self, user: &UserId) -> Result<Vec<Arc<StoreSnapshot>>, kv::Error> {
        let ids =
            list_names(self.objects.as_ref(), &format!("{SHARES}{user}/")).await.map_err(kv::Error::unavailable)?;
        let ids = ids.into_iter().filter_map(|id| id.parse::<StoreId>().ok());
        let stores = stream::iter(ids)
            .map(async |id| match self.catalog.resolve(&StoreLocator::Id(id)).await {
                Ok(store) => Ok(Some(store)),
                // Ids are never reused.
                Err(kv::Error::StoreNotFound) => {
                    let removed = delete_json(self.objects.as_ref(), &entry(user, &id)).await;
                    removed.map(|()| None).map_err(kv::Error::unavailable)
                }
                Err(error) => Err(error),
            })
            .buffer_unordered(CONCURRENCY);
        let is_shared = |store: &StoreSnapshot| store.document.shares.right_of(user).is_some();
        let mut stores: Vec<_> =
            stores.try_filter_map(async |store| Ok(store.filter(|store| is_shared(store)))).try_collect().await?;
        stores.sort_by_key(|store| (store.document.created_at, store.document.id));
        Ok(stores)
    }
}

fn entry(user: &UserId, store: &StoreId) -> String {
    format!("{SHARES}{user}/{store}")
}
