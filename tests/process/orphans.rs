//! Leftovers in a backend once its gateways have stopped and time has gone on: inspected through the library, with the
//! clock moved by hand.

use std::{path::Path, sync::Arc, time::Duration};

use larder::{
    clock::{Clock, ManualClock, SystemClock, SystemRandom},
    kv::{Catalog, CatalogOptions},
    storage::{
        GetOptions, ListOptions, ObjectStore,
        embedded::{EmbeddedOptions, EmbeddedStore},
    },
};
use tokio::runtime::{Builder, Runtime};

/// So much later, whatever was left is gone: an hour for the longest request, and some.
const LATER: Duration = Duration::from_hours(2);

/// The largest object whose bytes are looked at.
const MAX_OBJECT_BYTES: u64 = 1 << 20;

/// Backend after its gateways have stopped.
pub struct Backend {
    objects: Arc<dyn ObjectStore>,
    /// Staleness bound of other gateways, where there are some.
    classes: Option<Duration>,
    runtime: Runtime,
}

impl Backend {
    /// Opens the backend in a data folder.
    pub fn folder(folder: &Path) -> Self {
        let options = EmbeddedOptions::new(folder.join("larder-data"));
        let engine = EmbeddedStore::open(&options, Arc::new(SystemClock)).expect("no other process has it");
        Self { objects: Arc::new(engine), classes: None, runtime: runtime() }
    }

    /// Opens the backend in a bucket, below a prefix.
    #[cfg(feature = "s3")]
    pub fn bucket(prefix: &str) -> Self {
        use larder::storage::{
            s3::{S3Options, S3Store},
            single_writer::SingleWriterStore,
        };

        use crate::bucket::variable;

        let options = S3Options {
            endpoint: Some(variable("LARDER_TEST_S3_ENDPOINT").parse().expect("an origin")),
            region: Some(variable("LARDER_TEST_S3_REGION")),
            prefix: format!("{prefix}/"),
            ..S3Options::new(variable("LARDER_TEST_S3_BUCKET"))
        };
        let runtime = runtime();
        let (bucket, found) = runtime.block_on(async {
            let bucket = S3Store::open(options, Arc::new(SystemClock), Arc::new(SystemRandom)).await;
            let bucket = bucket.expect("the bucket can be used");
            let found = bucket.probe(&SystemRandom).await.expect("a probe");
            (Arc::new(bucket), found)
        });
        let objects: Arc<dyn ObjectStore> = if found.conditional_writes {
            bucket
        } else {
            Arc::new(SingleWriterStore::new(bucket, Arc::new(SystemClock)))
        };
        Self { objects, classes: Some(larder::kv::CacheOptions::SHARED_STALENESS), runtime }
    }

    /// Returns every object, with its bytes; for few and small ones.
    pub fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let objects = self.objects.as_ref();
        self.runtime.block_on(async {
            let mut all = Vec::new();
            for key in keys(objects, "").await {
                let object = objects.get(&key, GetOptions::default()).await.expect("it is there");
                all.push((key, object.body.into_bytes(MAX_OBJECT_BYTES).await.expect("it is small").to_vec()));
            }
            all
        })
    }

    /// Returns the keys of all records.
    pub fn records(&self) -> Vec<String> {
        let objects = self.objects.as_ref();
        self.runtime.block_on(async {
            let mut records = keys(objects, "larder/permanent/").await;
            records.extend(keys(objects, "larder/expiring/").await);
            records
        })
    }

    /// Processes due items once it is so much later, and so much later again, and again: expired stores are found twice
    /// that way.
    pub fn live_on(&self) {
        let clock = Arc::new(ManualClock::new(SystemClock.now().plus(LATER)));
        let options = CatalogOptions { classes: self.classes, ..CatalogOptions::default() };
        self.runtime.block_on(async {
            let (objects, random) = (Arc::clone(&self.objects), Arc::new(SystemRandom));
            let catalog = Arc::new(Catalog::new(objects, clock.clone(), random, &options));
            for _ in 0..3 {
                catalog.reconcile_due().await.expect("a run");
                clock.advance(2 * CatalogOptions::EXPIRY_CONFIRMATION);
            }
        });
    }

    /// Holds the backend to having no records but those of `stores`, so many of each, once it is later.
    pub fn holds_nothing_but(&self, stores: &[(String, usize)]) {
        self.live_on();
        let records = self.records();
        for (id, count) in stores {
            let own: Vec<_> = records.iter().filter(|key| key.contains(&format!("/{id}/"))).collect();
            assert_eq!(own.len(), *count, "store {id} has {count} records, and these objects: {own:#?}");
        }
        let all: usize = stores.iter().map(|(_, count)| count).sum();
        assert_eq!(records.len(), all, "there is more than belongs to a store");
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn keys(objects: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let (mut keys, mut start_after) = (Vec::new(), None);
    loop {
        let options = ListOptions { prefix: prefix.to_owned(), start_after, limit: 1000 };
        let page = objects.list(options).await.expect("a list");
        start_after = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
        keys.extend(page.objects.into_iter().map(|object| object.key));
        if start_after.is_none() {
            return keys;
        }
    }
}
