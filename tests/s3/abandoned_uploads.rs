//! Multipart uploads that were not completed leave no parts behind: at once where the object store says that it failed, else a day later.

use std::{sync::Arc, time::Duration};

use larder::{
    clock::{Clock, ClockGuard, ManualClock, Timestamp},
    kv::AbandonedUploads,
    storage::{Attributes, Error, Lifecycle, ObjectStore, Precondition, PutOptions, s3::S3Store},
};

use crate::{
    behind_proxy::{Behind, stream},
    proxy::{Fault, Refusal, Request, Times},
};

const LONG: usize = 11 << 20;

/// Below the root that gateways use.
const KEY: &str = "larder/permanent/abandoned/1/ka";

async fn put(store: &S3Store, key: &str) -> larder::storage::Result<()> {
    let attributes = Attributes { content_type: "text/plain".to_owned(), content_encoding: None };
    let options = PutOptions { attributes, precondition: Precondition::None };
    store.put(key, stream(&vec![b'x'; LONG], true), options).await.map(drop)
}

/// Returns the keys of unfinished uploads, sorted: not every object store lists them in order.
async fn unfinished(store: &S3Store) -> Vec<String> {
    let page = store.unfinished_uploads("", None).await.unwrap();
    let mut keys: Vec<_> = page.uploads.into_iter().map(|upload| upload.key).collect();
    keys.sort();
    keys
}

fn completes(request: &Request) -> bool {
    request.method == "POST" && request.query.contains("uploadId=")
}

#[tokio::test]
async fn an_upload_whose_completion_fails_behind_a_200_leaves_no_parts() {
    let behind = Behind::open().await;
    behind.proxy.arm(Fault::Refuse(Refusal::error_behind_success()), Times::Next(1), completes);
    let failed = put(&behind.store, KEY).await;
    assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
    behind.store.close().await;
    let requests = behind.proxy.take_requests();
    assert!(requests.iter().any(|request| request.method == "DELETE" && request.query.contains("uploadId")));
    assert_eq!(unfinished(&behind.store).await, [] as [&str; 0]);
    assert!(matches!(behind.read(KEY).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn an_upload_whose_completion_was_not_answered_is_aborted_after_a_day_and_no_other() {
    let behind = Behind::open().await;
    for key in [KEY, "of-others/a"] {
        let armed = behind.proxy.arm(Fault::NeverAnswer, Times::UntilDisarmed, completes);
        assert!(put(&behind.store, key).await.is_err());
        armed.disarm();
    }
    assert_eq!(unfinished(&behind.store).await, [KEY, "of-others/a"]);
    let store_time = behind.store.clock().now();
    let aborted = |hours: u64| {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(later(store_time, hours)));
        let guard = Arc::new(ClockGuard::trusting(clock));
        let objects: Arc<dyn ObjectStore> = behind.store.clone();
        async move { AbandonedUploads::new(objects, guard).abort().await.unwrap() }
    };
    assert_eq!(aborted(23).await, 0);
    assert_eq!(aborted(25).await, 1);
    assert_eq!(unfinished(&behind.store).await, ["of-others/a"]);
    assert_eq!(aborted(25).await, 0);
}

fn later(time: Timestamp, hours: u64) -> Timestamp {
    time.plus(Duration::from_hours(hours))
}
