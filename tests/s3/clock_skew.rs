//! A machine whose clock is wrong, before an object store whose clock counts.

use std::{sync::Arc, time::Duration};

use larder::{
    clock::{Clock, SkewCorrectedClock, SystemClock, SystemRandom, Timestamp},
    storage::{ObjectStore, Precondition, PutOptions, s3::S3Store},
};

use crate::{
    behind_proxy::{put, stream},
    mock_minio::{Deviations, MockMinio},
};
use larder_test_kit::s3_backend::own_options;

/// Maximum apparent difference of two equal clocks: dates are in whole seconds, and requests take time.
const SAME: Duration = Duration::from_secs(3);

/// Returns the clock of a machine that is so many milliseconds ahead of this one.
fn wrong_clock(ahead: i64) -> Arc<SkewCorrectedClock> {
    let clock = SkewCorrectedClock::new(Arc::new(SystemClock));
    let shown = SystemClock.now().as_millis() + ahead;
    clock.observe(Timestamp::from_millis(shown), clock.monotonic());
    Arc::new(clock)
}

fn shows_the_time(clock: &dyn Clock) {
    let apart = clock.now().as_millis().abs_diff(SystemClock.now().as_millis());
    assert!(Duration::from_millis(apart) <= SAME, "{apart} ms apart");
}

#[tokio::test]
async fn a_machine_that_is_hours_off_goes_by_the_time_of_the_object_store() {
    for ahead in [-86_400_000, 86_400_000] {
        let store = S3Store::open(own_options(), wrong_clock(ahead), Arc::new(SystemRandom)).await;
        let store = store.expect("the bucket can be used");
        shows_the_time(store.clock().as_ref());
        put(&store, "small", b"small", Precondition::None).await.expect("it is signed at the right time");
        // Of unknown length: the control plane signs, too.
        let body = stream(&vec![0; 12 << 20], false);
        store.put("large", body, PutOptions::default()).await.expect("it is signed at the right time");
        assert_eq!(store.head("large").await.expect("it is there").size, 12 << 20);
        store.delete_many(vec!["small".to_owned(), "large".to_owned()]).await.expect("it is signed at the right time");
    }
}

#[tokio::test]
async fn a_clock_that_goes_wrong_later_is_set_right_by_the_next_refusal() {
    let minio = MockMinio::start(Deviations::default()).await;
    let own = wrong_clock(0);
    let options = crate::lifecycle_mock_minio::options(&minio, "");
    let store = S3Store::open(options, own.clone(), Arc::new(SystemRandom)).await.expect("the bucket can be used");
    shows_the_time(store.clock().as_ref());
    // It accepts a nonsensical date.
    own.observe(Timestamp::from_millis(SystemClock.now().as_millis() + 7_200_000), own.monotonic());
    put(&store, "k", b"v", Precondition::None).await.expect("it is signed again");
    shows_the_time(store.clock().as_ref());
}
