//! Lists of stores.

use std::{collections::HashSet, sync::Arc};

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
        Some(view) => index.correct(&view.document),
        None => index.drop_entry(&id),
    }
    Ok(store)
}

async fn page(index: &OwnerIndex, documents: &Documents, query: &StoreQuery) -> Result<StorePage> {
    take(index, documents, query, || index.page(!query.unnamed, query.descending, query.offset, query.limit)).await
}

/// The stores that `choose` chooses out of so many; again, if the documents say of some that they do not belong there, of
/// which the index has been told.
async fn take(
    index: &OwnerIndex,
    documents: &Documents,
    query: &StoreQuery,
    choose: impl Fn() -> (Vec<StoreId>, usize),
) -> Result<StorePage> {
    let mut corrections = 0;
    loop {
        let (ids, total) = choose();
        let wanted = ids.len();
        let stores: Vec<_> = read(index, documents, ids, query).try_collect().await?;
        let stores: Vec<_> = stores.into_iter().flatten().collect();
        corrections += 1;
        if stores.len() == wanted || corrections == MAX_CORRECTIONS {
            return Ok(StorePage { total, stores });
        }
    }
}

/// Finds stores by what the index knows of them. Those of which it does not know are looked at themselves: what is called by more than
/// the index keeps, and what was listed by an earlier version.
async fn find(index: &OwnerIndex, documents: &Documents, query: &StoreQuery, search: &str) -> Result<StorePage> {
    let search = search.to_lowercase();
    let unknown = index.select(!query.unnamed, query.descending, |_, label| label.is_none());
    let looked_at = read(index, documents, unknown, query);
    let looked_at = looked_at.try_filter_map(async |store| Ok(store.map(|store| store.document.id)));
    let found: HashSet<StoreId> = looked_at.try_collect().await?;
    take(index, documents, query, || {
        let mut ids = index.select(!query.unnamed, query.descending, |id, label| {
            let is_called_so = label.map_or_else(|| found.contains(id), |label| label.contains(&search));
            is_called_so || has_id(id, &search)
        });
        let total = ids.len();
        ids = ids.into_iter().skip(query.offset).take(query.limit).collect();
        (ids, total)
    })
    .await
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
        Ok(store.filter(|store| query.matches(store)))
    };
    stream::iter(ids).map(one).buffered(READ_CONCURRENCY)
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
