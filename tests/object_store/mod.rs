//! The object store that the environment names, for the suites that are held over a real one.

use std::{env, sync::Arc};

use larder::{
    clock::{Random, SystemClock, SystemRandom},
    storage::{
        ObjectStore,
        s3::{Findings, S3Options, S3Store},
        sole_writer::SoleWriter,
    },
};
use tokio::sync::OnceCell;

/// What the object store can do, found out once for all tests.
static FINDINGS: OnceCell<Findings> = OnceCell::const_new();

/// The object store, under a prefix of its own. Where it has no conditional writes, this process is its keeper.
pub(crate) async fn open() -> Arc<dyn ObjectStore> {
    let found =
        FINDINGS.get_or_init(async || open_at("probe").await.probe(&SystemRandom).await.expect("a probe")).await;
    let own = (&SystemRandom as &dyn Random).characters(b"abcdefghijklmnopqrstuvwxyz", 16);
    let store = open_at(&String::from_utf8(own).expect("letters")).await;
    store.go_by(found);
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    if found.conditional_writes { store } else { Arc::new(SoleWriter::new(store, Arc::new(SystemClock))) }
}

async fn open_at(prefix: &str) -> S3Store {
    let options = S3Options {
        endpoint: Some(variable("LARDER_TEST_S3_ENDPOINT").parse().expect("an origin")),
        region: Some(variable("LARDER_TEST_S3_REGION")),
        prefix: format!("{prefix}/"),
        ..S3Options::new(variable("LARDER_TEST_S3_BUCKET"))
    };
    S3Store::open(options, Arc::new(SystemClock), Arc::new(SystemRandom)).await.expect("the bucket can be used")
}

#[expect(clippy::disallowed_methods, reason = "the environment says where to test, and is no configuration")]
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `cargo xtask test tests`, or `cargo xtask test-s3`, or see `cargo xtask backend`"
        )
    })
}
