//! The operations whose cost must not depend on the number of records in a store.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use larder::{
    clock::{Clock, Random},
    kv::{Catalog, CatalogOptions, KeyQuery, Records, StoreId, StoreLocator, StoreSnapshot},
    storage::ObjectStore,
};

use crate::{
    populate::key,
    report::{Draws, Outcome},
};

/// Longer than any record here.
const MAX_VALUE_BYTES: u64 = 1024;

/// Something that is done to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is found by its id, by a catalog that has never seen it.
    Open,
    /// A record is read.
    Read,
    /// A page of so many keys is listed.
    List(usize),
}

/// All operations, with their names.
pub const OPERATIONS: [(&str, Operation); 4] = [
    ("open the store", Operation::Open),
    ("read a record", Operation::Read),
    ("list 100 keys", Operation::List(100)),
    ("list 1,000 keys", Operation::List(1000)),
];

/// A store and the number of its records.
#[derive(Debug)]
pub struct Subject {
    /// The store.
    pub store: Arc<StoreSnapshot>,
    /// Number of its records.
    pub count: u64,
}

/// Environment of the operations.
#[derive(Debug)]
pub struct Engine {
    /// Backend of everything.
    pub objects: Arc<dyn ObjectStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

impl Engine {
    /// Returns a catalog that remembers nothing.
    pub fn catalog(&self) -> Arc<Catalog> {
        let (objects, clock, random) = (Arc::clone(&self.objects), Arc::clone(&self.clock), Arc::clone(&self.random));
        Arc::new(Catalog::new(objects, clock, random, &CatalogOptions::default()))
    }

    /// Does `operation` once on a random key of a store. Returns its duration.
    pub async fn time(
        &self,
        records: &Records,
        subject: &Subject,
        operation: Operation,
        draws: &mut Draws,
    ) -> Outcome<Duration> {
        match operation {
            Operation::Open => self.open(subject.store.document.id).await,
            Operation::Read => read(records, subject, draws.below(subject.count)).await,
            Operation::List(limit) => {
                // Only where a whole page follows, so that pages of both stores hold as many keys.
                let places = (subject.count + 1).saturating_sub(limit as u64).max(1);
                list(records, subject, draws.below(places), limit).await
            }
        }
    }

    async fn open(&self, id: StoreId) -> Outcome<Duration> {
        let catalog = self.catalog();
        let started = Instant::now();
        catalog.resolve(&StoreLocator::Id(id)).await?;
        Ok(started.elapsed())
    }
}

async fn read(records: &Records, subject: &Subject, number: u64) -> Outcome<Duration> {
    let key = key(number)?;
    let started = Instant::now();
    let object = records.get(&subject.store, &key, None).await?;
    let bytes = object.body.into_bytes(MAX_VALUE_BYTES).await?;
    let took = started.elapsed();
    if bytes.starts_with(format!("{number:010}").as_bytes()) { Ok(took) } else { Err("another record was read".into()) }
}

/// Lists the `limit` keys from that of `number` on.
async fn list(records: &Records, subject: &Subject, number: u64, limit: usize) -> Outcome<Duration> {
    let before = number.checked_sub(1).map(key).transpose()?;
    let exclusive_start_key = before.map(|key| key.as_str().to_owned());
    let query = KeyQuery { exclusive_start_key, limit, ..KeyQuery::default() };
    let started = Instant::now();
    let page = records.list_keys(&subject.store, &query).await?;
    let took = started.elapsed();
    let is_right = page.keys.len() == limit && page.keys[0].key == key(number)?.as_str();
    if is_right { Ok(took) } else { Err("another page was listed".into()) }
}
