//! The object store that the environment names, for the suites that are held over a real one.

use std::{env, sync::Arc};

use larder_object_store::{
    ObjectStore,
    s3::{Capabilities, S3Options, S3Store},
    single_writer::SingleWriterStore,
};
use larder_runtime::{
    clock::{Random, SystemClock, SystemRandom},
    telemetry::CostLedger,
};
use tokio::sync::OnceCell;

/// Capabilities of the object store, detected once for all tests.
static CAPABILITIES: OnceCell<Capabilities> = OnceCell::const_new();

/// Returns the object store, under a prefix of its own. Where it has no conditional writes, this process is its leader.
pub async fn open() -> Arc<dyn ObjectStore> {
    open_with_ledger(Arc::default()).await
}

/// Returns the same; its calls are charged in `ledger`.
pub async fn open_with_ledger(ledger: Arc<CostLedger>) -> Arc<dyn ObjectStore> {
    let (store, found) = open_own(own_options(), ledger).await;
    if found.conditional_writes { store } else { Arc::new(SingleWriterStore::new(store, Arc::new(SystemClock))) }
}

/// Returns the object store without a leader and with other settings, and its capabilities.
pub async fn open_with(change: impl FnOnce(&mut S3Options)) -> (Arc<S3Store>, &'static Capabilities) {
    let mut options = own_options();
    change(&mut options);
    open_own(options, Arc::default()).await
}

async fn open_own(own: S3Options, ledger: Arc<CostLedger>) -> (Arc<S3Store>, &'static Capabilities) {
    let found = CAPABILITIES
        .get_or_init(async || {
            let probed = S3Store::open(options("probe"), Arc::new(SystemClock), Arc::new(SystemRandom)).await;
            probed.expect("the bucket can be used").probe(&SystemRandom).await.expect("a probe")
        })
        .await;
    let store = S3Store::open_with_ledger(own, Arc::new(SystemClock), Arc::new(SystemRandom), ledger).await;
    let store = store.expect("the bucket can be used");
    store.apply(found);
    (Arc::new(store), found)
}

/// Returns the settings of a test that has a prefix of its own.
pub fn own_options() -> S3Options {
    let own = (&SystemRandom as &dyn Random).characters(b"abcdefghijklmnopqrstuvwxyz", 16);
    options(&String::from_utf8(own).expect("letters"))
}

fn options(prefix: &str) -> S3Options {
    S3Options {
        endpoint: Some(variable("LARDER_TEST_S3_ENDPOINT").parse().expect("an origin")),
        region: Some(variable("LARDER_TEST_S3_REGION")),
        prefix: format!("{prefix}/"),
        ..S3Options::new(variable("LARDER_TEST_S3_BUCKET"))
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment says where to test, and is no configuration")]
/// Returns a variable of the environment that describes the object store.
pub fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `cargo xtask test tests`, or `cargo xtask test-s3`, or see `cargo xtask backend`"
        )
    })
}
