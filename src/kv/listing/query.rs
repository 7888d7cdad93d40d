//! Lists of stores.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::kv::{
    model::{
        errors::Result,
        ids::{StoreId, UserId},
        search_text::SearchText,
    },
    persist::{repository::StoreRepository, store_metadata::StoreSnapshot},
};

use super::{index::Index, owner_index::OwnerIndex};

/// Maximum number of documents that are read concurrently for a page.
const MAX_CONCURRENT_READS: usize = 32;

/// Maximum number of stores read as replacements for stores of a page that turn out to be gone.
const MAX_REPLACEMENTS: usize = 64;

/// A query for stores of one owner.
#[derive(Debug, Clone, Default)]
pub struct StoreQuery {
    /// Includes unnamed stores.
    pub unnamed: bool,
    /// Newest first.
    pub descending: bool,
    /// Number of stores to skip.
    pub offset: usize,
    /// Maximum number of stores, from 1 to 1,000.
    pub limit: usize,
    /// Text that the name or title must contain, in any letter case, or that the id must begin with.
    pub search: Option<String>,
}

impl StoreQuery {
    /// Returns whether a store matches, regardless of the page.
    pub fn matches(&self, store: &StoreSnapshot) -> bool {
        (self.unnamed || store.document.name.is_some())
            && self.search.as_deref().is_none_or(|search| matches(store, search))
    }
}

/// A page of stores, in order of creation.
#[derive(Debug, Clone, Default)]
pub struct StorePage {
    /// Number of all stores that match.
    pub total: usize,
    /// The stores of this page.
    pub stores: Vec<Arc<StoreSnapshot>>,
}

/// Returns a page of an owner's stores: no call if the cache has them, else a read for each store that it lacks.
/// Reads only the stores of the page, and a few replacements for those that the index did not know to be gone.
pub async fn list(index: &Index, repository: &StoreRepository, owner: UserId, query: &StoreQuery) -> Result<StorePage> {
    let stores = index.read(owner).await?;
    let request = ListRequest { index, stores, repository, query };
    match query.search.as_deref().filter(|search| !search.is_empty()) {
        None => request.page().await,
        Some(search) => request.search(search).await,
    }
}

/// A list in progress.
struct ListRequest<'a> {
    index: &'a Index,
    stores: Arc<OwnerIndex>,
    repository: &'a StoreRepository,
    query: &'a StoreQuery,
}

impl ListRequest<'_> {
    async fn page(&self) -> Result<StorePage> {
        let StoreQuery { unnamed, descending, offset, limit, .. } = *self.query;
        let mut read = HashMap::new();
        loop {
            let (ids, total) = self.stores.page(!unnamed, descending, offset, limit);
            if let Some(stores) = self.read_page(&ids, &mut read).await? {
                return Ok(StorePage { total, stores });
            }
        }
    }

    /// Finds stores by the index. Reads the documents of stores whose search text is too long for the index.
    async fn search(&self, search: &str) -> Result<StorePage> {
        let (search, query) = (search.to_lowercase(), self.query);
        let permit = self.index.search_permit().await?;
        let unknown = self.stores.select(!query.unnamed, false, |_, search_text| search_text.is_none()).await?;
        let mut read = HashMap::new();
        self.read(&unknown, &mut read).await?;
        let found: HashSet<StoreId> = read.into_iter().filter_map(|(id, store)| store.map(|_| id)).collect();
        let is_wanted = move |id: &StoreId, search_text: Option<&SearchText>| {
            let is_called_so =
                search_text.map_or_else(|| found.contains(id), |search_text| search_text.contains(&search));
            is_called_so || has_id(id, &search)
        };
        let mut ids = self.stores.select(!query.unnamed, query.descending, is_wanted).await?;
        drop(permit);
        let mut read = HashMap::new();
        loop {
            let end = query.offset.saturating_add(query.limit).min(ids.len());
            let page = &ids[query.offset.min(end)..end];
            if let Some(stores) = self.read_page(page, &mut read).await? {
                return Ok(StorePage { total: ids.len(), stores });
            }
            ids.retain(|id| read.get(id).is_none_or(Option::is_some));
        }
    }

    /// Returns the stores of a page; `None` if documents show that some do not belong there, so the page must be
    /// taken again.
    async fn read_page(
        &self,
        ids: &[StoreId],
        read: &mut HashMap<StoreId, Option<Arc<StoreSnapshot>>>,
    ) -> Result<Option<Vec<Arc<StoreSnapshot>>>> {
        let unread: Vec<_> = ids.iter().filter(|id| !read.contains_key(*id)).copied().collect();
        self.read(&unread, read).await?;
        let stores: Vec<_> = ids.iter().filter_map(|id| read.get(id).cloned().flatten()).collect();
        let is_enough =
            stores.len() == ids.len() || unread.is_empty() || read.len() >= self.query.limit + MAX_REPLACEMENTS;
        Ok(is_enough.then_some(stores))
    }

    /// Reads the stores of `ids`. A store that does not belong in the list is `None`, and the index is updated.
    async fn read(&self, ids: &[StoreId], read: &mut HashMap<StoreId, Option<Arc<StoreSnapshot>>>) -> Result<()> {
        let one = async |id: StoreId| -> Result<_> {
            let store = self.read_visible(id).await?;
            Ok((id, store.filter(|store| self.query.matches(store))))
        };
        let mut reads = stream::iter(ids.to_vec()).map(one).buffer_unordered(MAX_CONCURRENT_READS);
        while let Some((id, store)) = reads.try_next().await? {
            read.insert(id, store);
        }
        Ok(())
    }

    /// Returns a store if requests may see it, and updates the index.
    async fn read_visible(&self, id: StoreId) -> Result<Option<Arc<StoreSnapshot>>> {
        let store = self.repository.find_visible(id).await?;
        match &store {
            Some(snapshot) => self.index.update(&snapshot.document),
            None => match self.repository.cached(&id) {
                // Expired, by a clock that may turn out to be wrong.
                Some(snapshot) if snapshot.document.exists() => self.index.update(&snapshot.document),
                Some(_) | None => self.stores.drop_entry(&id),
            },
        }
        Ok(store)
    }
}

fn matches(store: &StoreSnapshot, search: &str) -> bool {
    let search = search.to_lowercase();
    let contains = |text: &str| text.to_lowercase().contains(&search);
    let document = &store.document;
    document.name.as_ref().is_some_and(|name| contains(name.as_str()))
        || document.title.as_deref().is_some_and(contains)
        || has_id(&document.id, &search)
}

/// Returns whether an id begins with this text, in lower case.
fn has_id(id: &StoreId, search: &str) -> bool {
    id.as_str().get(..search.len()).is_some_and(|start| start.eq_ignore_ascii_case(search))
}
