//! Filling a store with many records, inside the process. The benchmarks that need such a store include this file.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use larder::{
    kv::{RecordAttributes, RecordKey, Records, StoreSnapshot},
    storage::{ByteStream, Precondition},
};
use tokio::task::JoinSet;

use crate::report::Outcome;

/// Records that are written at once: as many as the engine takes into one transaction.
const WRITERS: usize = 256;

/// Bytes of each record.
const VALUE_BYTES: usize = 100;

/// Timeout for filling a store.
const TIME_LIMIT: Duration = Duration::from_mins(15);

/// A prime larger than any number of records: steps of it visit all of them, far from the order of their keys, as in
/// a store that has grown over time.
const STRIDE: u64 = 2_147_483_647;

/// Returns the key of the record with this number.
pub fn key(number: u64) -> Outcome<RecordKey> {
    Ok(format!("record-{number:010}").parse()?)
}

/// Writes `count` records.
pub async fn populate(records: &Arc<Records>, store: &Arc<StoreSnapshot>, count: u64) -> Outcome<()> {
    let next = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + TIME_LIMIT;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (records, store, next) = (Arc::clone(records), Arc::clone(store), Arc::clone(&next));
        writers.spawn(async move {
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                if turn >= count {
                    return Outcome::Ok(());
                }
                if Instant::now() > end {
                    return Err(format!("{turn} records in {} s: too slow", TIME_LIMIT.as_secs()).into());
                }
                write(&records, &store, turn * STRIDE % count).await?;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn write(records: &Records, store: &StoreSnapshot, number: u64) -> Outcome<()> {
    let mut value = vec![b'.'; VALUE_BYTES];
    value[..10].copy_from_slice(format!("{number:010}").as_bytes());
    let attributes = RecordAttributes { content_type: "text/plain".to_owned(), content_coding: None };
    let body = ByteStream::from(Bytes::from(value));
    records.put(store, &key(number)?, body, attributes, Precondition::None).await?;
    Ok(())
}
