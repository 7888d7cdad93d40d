//! Disk space in the data folder: a deleted store gives back all that it took.

use std::{fs, path::Path, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use larder::{
    kv::CatalogOptions,
    storage::embedded::{EmbeddedOptions, EmbeddedStore, INLINE_LIMIT},
};

use crate::harness::{Larder, STORES, ShiftedClock, Store};

const MIB: u64 = 1024 * 1024;

/// Records in the index and in files of their own: 16 MiB each.
const SMALL: (usize, usize) = (1024, 16 * 1024);
const LARGE: (usize, usize) = (16, 1024 * 1024);

/// Longer than an unnamed store lives, and than its records are kept for a mistake.
const LONG: Duration = Duration::from_hours(8 * 24);

async fn fill(store: &Store) {
    for (name, (count, bytes)) in [("small", SMALL), ("large", LARGE)] {
        let put = async |at| store.put_bytes(&format!("{name}-{at}"), "text/plain", vec![b'.'; bytes]).await;
        stream::iter(0..count).map(put).buffer_unordered(64).for_each(|_| async {}).await;
    }
}

/// Returns the bytes of the index without its log, and the number of files beside it.
fn taken(folder: &Path) -> (u64, usize) {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries(&folder.join("blobs")).map(|inner| entries(&inner).count()).sum();
    (fs::metadata(folder.join("index.sqlite")).expect("there is an index").len(), files)
}

/// Waits until something holds that comes about behind the answers.
async fn eventually(what: &str, larder: &Larder, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        larder.sleep(Duration::from_millis(20)).await;
    }
    panic!("still not so after 20 s: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_expired_store_took_is_given_back_to_the_disk() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let clock = Arc::new(ShiftedClock::default());
    let objects = EmbeddedStore::open(&EmbeddedOptions::new(folder.path()), clock.clone()).expect("the folder opens");
    let objects = Arc::new(objects);
    let larder = Larder::start(objects.clone(), clock).await;
    let kept = larder.named_store("shop").await;
    kept.put_bytes("large", "text/plain", vec![b'x'; 2 * INLINE_LIMIT]).await;
    let passing = larder.new_store().await;
    fill(&passing).await;
    let is_full = || taken(folder.path()).0 > 8 * MIB && taken(folder.path()).1 == LARGE.0 + 1;
    eventually("the records stand in the folder", &larder, is_full).await;

    larder.advance(LONG);
    larder.upkeep().await;
    larder.advance(CatalogOptions::EXPIRY_CONFIRMATION);
    larder.upkeep().await;
    // No request comes that could have it done on the side.
    let is_empty = || taken(folder.path()).0 < 6 * MIB && taken(folder.path()).1 == 1;
    eventually("the space of the records has come back", &larder, is_empty).await;
    kept.record("large").await.answers(200).holds(&vec![b'x'; 2 * INLINE_LIMIT]);
    let listed = larder.get(format!("{STORES}?unnamed=1")).await;
    assert_eq!(listed.texts_of_items("id"), [kept.id.as_str()]);
    objects.close().await;
}
