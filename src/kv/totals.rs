//! Totals of an installation: stores, and the sums of their counted sizes, computed from lists alone.

use std::sync::{Arc, Mutex, PoisonError};

use crate::storage::{ListOptions, ListedObject, MAX_LIST_KEYS, ObjectStore};

use super::{document::Contents, error::Result, id::StoreId, layout, usage::Usage};

/// The totals of an installation. Two lists sum a thousand stores, and one page of a list is in memory at a time.
///
/// A deleted store counts until it is purged, an hour later.
#[derive(Debug)]
pub struct Totals {
    objects: Arc<dyn ObjectStore>,
    latest: Mutex<Option<Usage>>,
}

impl Totals {
    /// Returns totals over `objects`, not computed yet.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, latest: Mutex::default() }
    }

    /// Returns the last totals, if any.
    pub fn latest(&self) -> Option<Usage> {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Recomputes the totals.
    pub async fn run(&self) -> Result<()> {
        let (mut total, mut last) = (Usage::default(), None);
        let is_document = |object: &ListedObject| layout::parse_document(&object.key).is_some();
        self.list(layout::documents(), |page| {
            total.stores += page.iter().filter(|object| is_document(object)).count() as u64;
        })
        .await?;
        let mut add = |counted: Option<(StoreId, Contents)>| {
            // Of two entries for one store, which are adjacent in the list, the later one counts.
            let next_id = counted.as_ref().map(|(id, _)| *id);
            if let Some((_, contents)) = std::mem::replace(&mut last, counted).filter(|(id, _)| Some(*id) != next_id) {
                total.records = total.records.saturating_add(contents.records);
                total.bytes = total.bytes.saturating_add(contents.bytes);
            }
        };
        self.list(layout::all_counted(), |page| {
            for object in page {
                if let Some(counted) = counted_in(&object.key) {
                    add(Some(counted));
                }
            }
        })
        .await?;
        add(None);
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(total);
        Ok(())
    }

    async fn list(&self, prefix: String, mut see: impl FnMut(&[ListedObject])) -> Result<()> {
        let mut start_after = None;
        loop {
            let options = ListOptions { prefix: prefix.clone(), start_after, limit: MAX_LIST_KEYS };
            let page = self.objects.list(options).await?;
            see(&page.objects);
            start_after = page.objects.into_iter().next_back().map(|object| object.key).filter(|_| page.is_truncated);
            if start_after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Parses a size entry of any owner; `None` if it is none.
fn counted_in(key: &str) -> Option<(StoreId, Contents)> {
    let owner = key.strip_prefix(&layout::all_counted())?.split('/').next()?;
    layout::parse_counted_entry(key, &layout::counted(&owner.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{super::id::UserId, *};
    use crate::{
        clock::{Clock, ManualClock, SeededRandom, Timestamp},
        storage::{ByteStream, PutOptions, memory::MemoryStore},
    };

    #[tokio::test]
    async fn the_later_of_two_counts_of_a_store_is_in_the_sum_and_each_store_once() {
        let random = SeededRandom::new(1);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_millis(1_767_225_600_000)));
        let objects = Arc::new(MemoryStore::new(clock.clone()));
        let (owners, now) = ([UserId::generate(&random), UserId::generate(&random)], clock.now());
        let counts: [(usize, &[(u64, u64)]); 3] = [(0, &[(5, 500), (3, 300)]), (0, &[(7, 70)]), (1, &[(1, u64::MAX)])];
        let mut keys = vec!["larder/store-usage/strange".to_owned(), "larder/stores/strange".to_owned()];
        for (owner, entries) in counts {
            let id = StoreId::generate(&random);
            keys.push(layout::document(&id));
            for (minutes, (records, bytes)) in (0..).zip(entries) {
                let since = now.plus(std::time::Duration::from_mins(minutes));
                let contents = Contents { records: *records, bytes: *bytes, counted_at: since, since };
                keys.push(layout::counted_entry(&owners[owner], &id, &contents));
            }
        }
        for key in keys {
            objects.put(&key, ByteStream::from(bytes::Bytes::new()), PutOptions::default()).await.expect("a write");
        }
        let totals = Totals::new(objects);
        assert_eq!(totals.latest(), None);
        totals.run().await.expect("a sum");
        assert_eq!(totals.latest(), Some(Usage { stores: 3, records: 11, bytes: u64::MAX }));
    }
}
