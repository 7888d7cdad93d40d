//! The catalog of stores: make, find, change, delete.

use std::sync::Arc;

use super::{
    activity::ActivityCounts,
    document::GeneralAccess,
    error::Result,
    id::{StoreId, UserId},
    listing::{StorePage, StoreQuery},
    name::StoreName,
    schema::Schema,
    view::StoreView,
};

/// Options of the catalog.
#[derive(Debug, Clone)]
pub struct CatalogOptions;

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

/// The outcome of a create.
#[derive(Debug, Clone)]
pub struct Created {
    /// The store.
    pub store: Arc<StoreView>,
    /// Whether it was made now; else it had the name before, and is as it was.
    pub is_new: bool,
}

/// Changes of a store; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct StoreUpdate {
    /// The new name, or `Some(None)` to take the name away.
    pub name: Option<Option<StoreName>>,
    /// The new title, or `Some(None)` to take it away.
    pub title: Option<Option<String>>,
    /// The new access.
    pub general_access: Option<GeneralAccess>,
}

/// All stores.
#[derive(Debug)]
pub struct Catalog;

#[expect(clippy::unused_async, missing_docs)]
impl Catalog {
    /// From the cache where it may; `Error::StoreNotFound` without one.
    pub async fn resolve(&self, locator: &StoreLocator) -> Result<Arc<StoreView>> {
        unimplemented!("{locator:?}")
    }

    /// Makes a store, or gives the one of that name.
    pub async fn create(&self, owner: UserId, new: NewStore) -> Result<Created> {
        unimplemented!("{owner:?} {new:?}")
    }

    pub async fn update(&self, id: StoreId, update: StoreUpdate) -> Result<Arc<StoreView>> {
        unimplemented!("{id:?} {update:?}")
    }

    pub async fn delete(&self, id: StoreId) -> Result<()> {
        unimplemented!("{id:?}")
    }

    pub async fn list(&self, owner: UserId, query: &StoreQuery) -> Result<StorePage> {
        unimplemented!("{owner:?} {query:?}")
    }

    /// Counters and dates of a store, what is not yet written down included. Costs no call.
    pub fn activity(&self, store: &StoreView) -> ActivityCounts {
        unimplemented!("{store:?}")
    }
}
