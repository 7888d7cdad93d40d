//! Lists of stores.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    documents::Documents,
    error::Result,
    id::{StoreId, UserId},
    index::Index,
    label::Label,
    listed::OwnerIndex,
    view::StoreView,
};

/// Documents that are read at the same time for a page.
const READ_CONCURRENCY: usize = 32;

/// The most stores that are read in the place of others of a page that turn out to be gone.
const MAX_REPLACED: usize = 64;

/// A question for stores of one owner.
#[derive(Debug, Clone, Default)]
pub struct StoreQuery {
    /// Whether unnamed stores are wanted, too.
    pub unnamed: bool,
    /// Newest first.
    pub descending: bool,
    /// Stores to skip.
    pub offset: usize,
    /// The most stores wanted, from 1 to 1,000.
    pub limit: usize,
    /// Only stores with this in their name or title, in any letter case, or whose id begins with it.
    pub search: Option<String>,
}

impl StoreQuery {
    /// Whether a store is wanted by what it is, whatever page it would be on.
    pub fn matches(&self, store: &StoreView) -> bool {
        (self.unnamed || store.document.name.is_some())
            && self.search.as_deref().is_none_or(|search| matches(store, search))
    }
}

/// A page of stores, in the order of their making.
#[derive(Debug, Clone, Default)]
pub struct StorePage {
    /// All stores that match.
    pub total: usize,
    /// Those of this page.
    pub stores: Vec<Arc<StoreView>>,
}

/// A page of an owner's stores: no call when what it shows is in the cache, else a read for each store that is not. No store is read
/// but those of the page, and a few in the place of those of which the index did not know that they are gone.
pub async fn list(index: &Index, documents: &Documents, owner: UserId, query: &StoreQuery) -> Result<StorePage> {
    let stores = index.read(owner).await?;
    let lists = Lists { index, stores, documents, query };
    match query.search.as_deref().filter(|search| !search.is_empty()) {
        None => lists.page().await,
        Some(search) => lists.find(search).await,
    }
}

/// A list in the making.
struct Lists<'a> {
    index: &'a Index,
    stores: Arc<OwnerIndex>,
    documents: &'a Documents,
    query: &'a StoreQuery,
}

impl Lists<'_> {
    async fn page(&self) -> Result<StorePage> {
        let StoreQuery { unnamed, descending, offset, limit, .. } = *self.query;
        let mut read = HashMap::new();
        loop {
            let (ids, total) = self.stores.page(!unnamed, descending, offset, limit);
            if let Some(stores) = self.take(&ids, &mut read).await? {
                return Ok(StorePage { total, stores });
            }
        }
    }

    /// Finds stores by what the index knows of them. Those of which it does not know are looked at themselves: what is called by more
    /// than the index keeps.
    async fn find(&self, search: &str) -> Result<StorePage> {
        let (search, query) = (search.to_lowercase(), self.query);
        let turn = self.index.search_turn().await?;
        let unknown = self.stores.select(!query.unnamed, false, |_, label| label.is_none()).await?;
        let mut read = HashMap::new();
        self.read(&unknown, &mut read).await?;
        let found: HashSet<StoreId> = read.into_iter().filter_map(|(id, store)| store.map(|_| id)).collect();
        let is_wanted = move |id: &StoreId, label: Option<&Label>| {
            let is_called_so = label.map_or_else(|| found.contains(id), |label| label.contains(&search));
            is_called_so || has_id(id, &search)
        };
        let mut ids = self.stores.select(!query.unnamed, query.descending, is_wanted).await?;
        drop(turn);
        let mut read = HashMap::new();
        loop {
            let end = query.offset.saturating_add(query.limit).min(ids.len());
            let page = &ids[query.offset.min(end)..end];
            if let Some(stores) = self.take(page, &mut read).await? {
                return Ok(StorePage { total: ids.len(), stores });
            }
            ids.retain(|id| read.get(id).is_none_or(Option::is_some));
        }
    }

    /// The stores of a page; `None` if the documents say of some that they do not belong there, and it is to be taken again.
    async fn take(
        &self,
        ids: &[StoreId],
        read: &mut HashMap<StoreId, Option<Arc<StoreView>>>,
    ) -> Result<Option<Vec<Arc<StoreView>>>> {
        let unread: Vec<_> = ids.iter().filter(|id| !read.contains_key(*id)).copied().collect();
        self.read(&unread, read).await?;
        let stores: Vec<_> = ids.iter().filter_map(|id| read.get(id).cloned().flatten()).collect();
        let is_enough = stores.len() == ids.len() || unread.is_empty() || read.len() >= self.query.limit + MAX_REPLACED;
        Ok(is_enough.then_some(stores))
    }

    /// Reads the stores of `ids`; what does not belong in the list is `None`, and the index is told so.
    async fn read(&self, ids: &[StoreId], read: &mut HashMap<StoreId, Option<Arc<StoreView>>>) -> Result<()> {
        let one = async |id: StoreId| -> Result<_> {
            let store = self.ask(id).await?;
            Ok((id, store.filter(|store| self.query.matches(store))))
        };
        let mut reads = stream::iter(ids.to_vec()).map(one).buffer_unordered(READ_CONCURRENCY);
        while let Some((id, store)) = reads.try_next().await? {
            read.insert(id, store);
        }
        Ok(())
    }

    /// The store of an id if requests may see it; the index is told what was found.
    async fn ask(&self, id: StoreId) -> Result<Option<Arc<StoreView>>> {
        let store = self.documents.visible(id).await?;
        match &store {
            Some(view) => self.index.learn(&view.document),
            None => match self.documents.remembered(&id) {
                // It has expired: by a clock that may yet turn out to be wrong.
                Some(view) if view.document.is_there() => self.index.learn(&view.document),
                Some(_) | None => self.stores.drop_entry(&id),
            },
        }
        Ok(store)
    }
}

fn matches(store: &StoreView, search: &str) -> bool {
    let search = search.to_lowercase();
    let contains = |text: &str| text.to_lowercase().contains(&search);
    let document = &store.document;
    document.name.as_ref().is_some_and(|name| contains(name.as_str()))
        || document.title.as_deref().is_some_and(contains)
        || has_id(&document.id, &search)
}

/// Whether an id begins with this text, in lower case.
fn has_id(id: &StoreId, search: &str) -> bool {
    id.as_str().get(..search.len()).is_some_and(|start| start.eq_ignore_ascii_case(search))
}
