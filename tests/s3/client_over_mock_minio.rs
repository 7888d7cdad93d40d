//! Larder's client over the mock of MinIO: the capabilities that it detects at its start, and its handling of
//! MinIO's deviations.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use larder::{
    clock::{SystemClock, SystemRandom},
    storage::{
        Error, GetOptions, ListOptions, ObjectStore, Precondition,
        s3::{Capabilities, S3Options, S3Store},
    },
};

use crate::{
    behind_proxy::{TIMEOUTS, put},
    mock_minio::{Deviations, MockMinio},
};

const BUCKET: &str = "larder-tests";

/// More bytes than any test reads at once.
const MUCH: u64 = 64 << 20;

async fn open(minio: &MockMinio) -> (S3Store, Capabilities) {
    let options = S3Options {
        endpoint: Some(minio.endpoint().parse().expect("an origin")),
        region: Some("us-east-1".to_owned()),
        prefix: "larder/".to_owned(),
        timeouts: TIMEOUTS,
        part_bytes: 5 << 20,
        ..S3Options::new(BUCKET)
    };
    let store =
        S3Store::open(options, Arc::new(SystemClock), Arc::new(SystemRandom)).await.expect("the bucket is made");
    let capabilities = store.probe(&SystemRandom).await.expect("a probe");
    (store, capabilities)
}

async fn found(deviations: Deviations) -> Capabilities {
    open(&MockMinio::start(deviations).await).await.1
}

async fn read(store: &S3Store, key: &str) -> Bytes {
    store.get(key, GetOptions::default()).await.unwrap().body.into_bytes(MUCH).await.unwrap()
}

#[tokio::test]
async fn the_probe_tells_what_each_release_keeps_of_conditions() {
    let as_s3 = found(Deviations::default()).await;
    assert!(as_s3.conditional_writes && as_s3.conditional_deletes && as_s3.quoted_etags);
    let usual = found(Deviations::of_every_release()).await;
    assert!(usual.conditional_writes && !usual.conditional_deletes);
    let old = found(Deviations { takes_star_for_a_validator: true, ..Deviations::default() }).await;
    assert!(!old.conditional_writes);
    let early = found(Deviations::of_early_2025()).await;
    assert!(!early.conditional_writes);
}

#[tokio::test]
async fn objects_of_all_sizes_come_and_go_and_are_listed_to_the_last() {
    let minio = MockMinio::start(Deviations::of_every_release()).await;
    let (store, _) = open(&minio).await;
    for (key, size) in [("kempty", 0), ("ksmall", 1000), ("klarge", 3 << 20), ("kparts", 12 << 20)] {
        let bytes = vec![7; size];
        put(&store, key, &bytes, Precondition::None).await.unwrap();
        assert_eq!(read(&store, key).await, bytes, "{key}");
    }
    assert_eq!(minio.unfinished_uploads(BUCKET), 0);
    let mut keys = Vec::new();
    // Behind a key that is not there, where MinIO's own tokens leave one out.
    let mut start_after = Some("k".to_owned());
    while let Some(behind) = start_after {
        let page =
            store.list(ListOptions { prefix: "k".to_owned(), start_after: Some(behind), limit: 1 }).await.unwrap();
        start_after = page.objects.last().filter(|_| page.is_truncated).map(|last| last.key.clone());
        keys.extend(page.objects.into_iter().map(|object| object.key));
    }
    assert_eq!(keys, ["kempty", "klarge", "kparts", "ksmall"]);
    store.copy("ksmall", "kcopy", Precondition::None).await.unwrap();
    assert_eq!(read(&store, "kcopy").await.len(), 1000);
    store.delete_many(keys).await.unwrap();
    store.delete("kcopy", Precondition::None).await.unwrap();
    assert!(minio.keys(BUCKET).iter().all(|key| !key.starts_with("larder/k")));
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_waited_for_and_no_two_minutes_long() {
    let minio = MockMinio::start(Deviations { requests_before_ready: 1, ..Deviations::default() }).await;
    let began = Instant::now();
    let (store, _) = open(&minio).await;
    put(&store, "k", b"value", Precondition::None).await.unwrap();
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_in_trouble_leaves_the_old_object_and_a_right_error() {
    let minio = MockMinio::start(Deviations::default()).await;
    let (store, _) = open(&minio).await;
    put(&store, "k", b"old", Precondition::None).await.unwrap();
    minio.deviate(|deviations| deviations.is_full = true);
    assert!(matches!(put(&store, "k", b"new", Precondition::None).await, Err(Error::Full(_))));
    minio.deviate(|deviations| *deviations = Deviations { write_quorum_is_lost: true, ..Deviations::default() });
    assert!(matches!(put(&store, "k", b"new", Precondition::None).await, Err(Error::Throttled { .. })));
    assert_eq!(read(&store, "k").await, "old");
    minio.deviate(|deviations| *deviations = Deviations { read_quorum_is_lost: true, ..Deviations::default() });
    assert!(matches!(store.get("k", GetOptions::default()).await, Err(Error::Throttled { .. })));
    // An answer to HEAD has no words that say who answered.
    assert!(matches!(store.head("k").await, Err(Error::Unavailable(_))));
    minio.deviate(|deviations| *deviations = Deviations::default());
    assert_eq!(read(&store, "k").await, "old");
}
