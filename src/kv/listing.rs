//! Lists of stores.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::clock::Timestamp;

use super::{
    documents::Documents,
    error::Result,
    id::{StoreId, UserId},
    index::{Index, OwnerIndex},
    view::StoreView,
};

/// Documents that are read at the same time for a page.
const READ_CONCURRENCY: usize = 32;

/// How often a page is taken again because the index named stores that are not there.
const MAX_CORRECTIONS: usize = 8;

/// The most batches of stores that are asked for one list whether they have expired.
const MAX_SUSPICIONS: usize = 4096;

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

/// A page of an owner's stores: no call when what it shows is in the cache, else a read for each store that is not.
pub async fn list(
    index: &Index,
    documents: &Documents,
    owner: UserId,
    query: &StoreQuery,
    now: Timestamp,
) -> Result<StorePage> {
    let index = index.read(owner).await?;
    if query.unnamed {
        leave_out_expired(&index, documents, now).await?;
    }
    match query.search.as_deref().filter(|search| !search.is_empty()) {
        None => page(&index, documents, query).await,
        Some(search) => find(&index, documents, query, search).await,
    }
}

/// Asks the stores that may have expired, so that none of them counts that has: a read for each, once in its life.
async fn leave_out_expired(index: &OwnerIndex, documents: &Documents, now: Timestamp) -> Result<()> {
    for _ in 0..MAX_SUSPICIONS {
        let suspects = index.suspects(now, READ_CONCURRENCY * 8);
        if suspects.is_empty() {
            break;
        }
        let mut asked = stream::iter(suspects).map(|id| ask(index, documents, id)).buffer_unordered(READ_CONCURRENCY);
        while asked.try_next().await?.is_some() {}
    }
    Ok(())
}

/// The store of an id if requests may see it; the index is told what was found.
async fn ask(index: &OwnerIndex, documents: &Documents, id: StoreId) -> Result<Option<Arc<StoreView>>> {
    let store = documents.visible(id).await?;
    match &store {
        Some(view) => index.correct(&id, view.document.name.is_some(), view.document.expires_at),
        None => index.drop_entry(&id),
    }
    Ok(store)
}

async fn page(index: &OwnerIndex, documents: &Documents, query: &StoreQuery) -> Result<StorePage> {
    let mut corrections = 0;
    loop {
        let (ids, total) = index.page(!query.unnamed, query.descending, query.offset, query.limit);
        let wanted = ids.len();
        let stores: Vec<_> = read(index, documents, ids, query).try_collect().await?;
        let stores: Vec<_> = stores.into_iter().flatten().collect();
        corrections += 1;
        if stores.len() == wanted || corrections == MAX_CORRECTIONS {
            return Ok(StorePage { total, stores });
        }
    }
}

/// Looks at every store for what is searched: reads the documents that are not in the cache, in flat memory.
async fn find(index: &OwnerIndex, documents: &Documents, query: &StoreQuery, search: &str) -> Result<StorePage> {
    let (ids, _) = index.page(!query.unnamed, query.descending, 0, usize::MAX);
    let mut found = StorePage::default();
    let mut stores = std::pin::pin!(read(index, documents, ids, query));
    while let Some(store) = stores.next().await {
        let Some(store) = store?.filter(|store| matches(store, search)) else { continue };
        if found.total >= query.offset && found.stores.len() < query.limit {
            found.stores.push(store);
        }
        found.total += 1;
    }
    Ok(found)
}

/// The stores of `ids`, in their order; `None` for one that does not belong in the list, of which the index is told.
fn read<'a>(
    index: &'a OwnerIndex,
    documents: &'a Documents,
    ids: Vec<StoreId>,
    query: &'a StoreQuery,
) -> impl stream::Stream<Item = Result<Option<Arc<StoreView>>>> + 'a {
    let one = move |id: StoreId| async move {
        let store = ask(index, documents, id).await?;
        Ok(store.filter(|store| query.unnamed || store.document.name.is_some()))
    };
    stream::iter(ids).map(one).buffered(READ_CONCURRENCY)
}

fn matches(store: &StoreView, search: &str) -> bool {
    let search = search.to_lowercase();
    let contains = |text: &str| text.to_lowercase().contains(&search);
    let document = &store.document;
    document.name.as_ref().is_some_and(|name| contains(name.as_str()))
        || document.title.as_deref().is_some_and(contains)
        || document.id.as_str().to_lowercase().starts_with(&search)
}
