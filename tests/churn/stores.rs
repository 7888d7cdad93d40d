//! Stores that come and go over the backends themselves: what they took is given back. In CI few, in the long check
//! (`cargo xtask test-long store-churn`) as many as a month brings.
#![expect(clippy::print_stdout, reason = "a long check says what it measured")]
#![expect(clippy::disallowed_methods, reason = "what a sweep takes is measured by the system's own clock")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::join_all, stream};
use larder::{
    clock::{Clock, ManualClock, SeededRandom, SystemClock, SystemRandom},
    kv::{CacheOptions, Catalog, CatalogOptions, NewStore, Retention, StoreQuery, StoreSnapshot, UserId},
    storage::{
        ListOptions, ObjectStore,
        embedded::{EmbeddedOptions, EmbeddedStore},
        in_background,
    },
};

use crate::{
    MIB, TURN, bytes_in_use,
    gateways::{Gateway, name},
    resident_bytes,
};

/// Maximum growth of the index file, in bytes.
const FILE_MAY_GROW: u64 = 16 * MIB;

/// Bytes of memory in use that may be more after the first cycle, whatever the number of stores: caches are full then.
const MEMORY_MAY_GROW: u64 = 4 * MIB;

/// Bytes of memory in use that may be more after each further cycle.
const MEMORY_MAY_GROW_AGAIN: u64 = MIB / 2;

/// Number of stores that are created concurrently.
const MAKERS: usize = 64;

const DAY: Duration = Duration::from_hours(24);

/// A step of the clock; in each the due items are processed.
const STEP: Duration = Duration::from_mins(70);

/// Options with caches that are full at once: what they keep of stores that are gone has a bound of its own, and would
/// hide growth without one.
fn options() -> CatalogOptions {
    let cache = CacheOptions { capacity_bytes: MIB, capacity_names: 1000, staleness: None };
    CatalogOptions { cache, ..CatalogOptions::default() }
}

/// A gateway over a backend, with a clock that is moved by hand.
struct Larder {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<ManualClock>,
    owner: UserId,
    gateway: Gateway,
}

impl Larder {
    fn over(objects: Arc<dyn ObjectStore>) -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let catalog = Arc::new(Catalog::new(objects.clone(), clock.clone(), Arc::new(SystemRandom), &options()));
        let gateway = Gateway { records: catalog.records(), catalog };
        Self { objects, clock, owner: UserId::generate(&SeededRandom::new(0)), gateway }
    }

    /// Another gateway, that has just started.
    fn restarted(&self) -> Gateway {
        let (objects, clock) = (self.objects.clone(), self.clock.clone());
        let catalog = Catalog::new(objects, clock, Arc::new(SystemRandom), &options());
        Gateway { records: catalog.records(), catalog: Arc::new(catalog) }
    }

    /// Makes so many stores with a record in each; one in `of_named` has a name, and is deleted.
    async fn make(&self, stores: usize, of_named: usize) {
        let makes = stream::iter(0..stores).map(|number| async move {
            let is_named = of_named > 0 && number % of_named == 0;
            let new = NewStore {
                name: is_named.then(|| name(&format!("s-{number}"))),
                retention: Retention::from_days(1.0),
                ..NewStore::default()
            };
            let store = self.gateway.catalog.create(self.owner, new).await.expect("a store").store;
            self.gateway.put(&store, "a", "flour").await.expect("a write");
            if is_named {
                self.gateway.catalog.delete(store.document.id).await.expect("a delete");
            }
        });
        makes.buffer_unordered(MAKERS).collect::<Vec<()>>().await;
    }

    /// Lets time pass until everything that is due has been done.
    async fn outlive(&self) {
        self.clock.advance(DAY);
        for _ in 0..5 {
            self.clock.advance(STEP);
            while in_background(self.gateway.catalog.reconcile_due()).await.expect("a run") > 0 {}
        }
        // A gateway does so once a minute: until then it remembers the use of each store.
        self.gateway.catalog.flush_usage().await.expect("a flush");
    }

    async fn list(&self, gateway: &Gateway) -> (usize, usize) {
        let query = StoreQuery { unnamed: true, limit: 100, ..StoreQuery::default() };
        let page = gateway.catalog.list(self.owner, &query).await.expect("a list");
        (page.stores.len(), page.total)
    }

    /// Counts the objects of each kind.
    async fn objects(&self) -> BTreeMap<String, usize> {
        let (mut counts, mut start_after) = (BTreeMap::new(), None);
        loop {
            let options = ListOptions { prefix: "larder/".to_owned(), start_after, limit: 1000 };
            let page = self.objects.list(options).await.expect("a list");
            for object in &page.objects {
                *counts.entry(object.key.split('/').nth(1).unwrap_or_default().to_owned()).or_default() += 1;
            }
            start_after = page.objects.into_iter().next_back().map(|object| object.key);
            if !page.is_truncated || start_after.is_none() {
                return counts;
            }
        }
    }
}

/// Bytes of the index of a data folder, its log included.
fn index_bytes(folder: &Path) -> u64 {
    let files = ["index.sqlite", "index.sqlite-wal"].map(|file| folder.join(file));
    files.iter().map(|file| fs::metadata(file).map_or(0, |found| found.len())).sum()
}

/// Creates and deletes so many stores, twice. The objects afterwards must be those from before.
async fn cycle(objects: Arc<dyn ObjectStore>, folder: Option<&Path>, stores: usize) {
    let larder = Larder::over(objects);
    larder.gateway.create(larder.owner, Some("kept")).await;
    larder.outlive().await;
    let (before, bytes_before) = (larder.objects().await, bytes_in_use());
    let file_before = folder.map_or(0, index_bytes);
    let mut most_bytes = bytes_in_use() + MEMORY_MAY_GROW;
    for _ in 0..2 {
        let began = Instant::now();
        larder.make(stores, 4).await;
        let made = began.elapsed();
        larder.list(&larder.gateway).await;
        larder.outlive().await;
        assert_eq!(larder.list(&larder.gateway).await, (1, 1));
        assert_eq!(larder.objects().await, before);
        let bytes = bytes_in_use();
        println!(
            "{stores} stores: made in {made:.1?}, gone after {:.1?}; {} KiB in use, {} before; {} MiB resident; an index of {} MiB",
            began.elapsed(),
            bytes / 1024,
            bytes_before / 1024,
            resident_bytes() / MIB,
            folder.map_or(0, index_bytes) / MIB
        );
        assert!(bytes <= most_bytes, "memory grew to {bytes} bytes, {most_bytes} are allowed");
        most_bytes = bytes + MEMORY_MAY_GROW_AGAIN;
    }
    if let Some(folder) = folder {
        let patience = Instant::now();
        while index_bytes(folder) > file_before + FILE_MAY_GROW {
            assert!(patience.elapsed() < Duration::from_mins(1), "the index has {} bytes", index_bytes(folder));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn open(folder: &Path) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(folder), Arc::new(SystemClock)).expect("the folder opens"))
}

fn folder() -> tempfile::TempDir {
    // Beside the build, since the system's folder for temporary files may be memory.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room for a folder")
}

fn how_many(usual: usize) -> usize {
    env::var("LARDER_TEST_STORES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

async fn cycle_over_folder(stores: usize) {
    let _turn = TURN.lock().await;
    let folder = folder();
    let objects = open(folder.path());
    cycle(objects.clone(), Some(folder.path()), stores).await;
    objects.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_come_and_go_over_a_folder_give_back_what_they_took() {
    cycle_over_folder(2000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `cargo xtask test-long store-churn`"]
async fn very_many_stores_that_come_and_go_over_a_folder_give_back_what_they_took() {
    cycle_over_folder(how_many(100_000)).await;
}

#[cfg(feature = "s3")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_come_and_go_over_a_bucket_give_back_what_they_took() {
    let _turn = TURN.lock().await;
    cycle(larder_test_kit::s3_backend::open().await, None, 300).await;
}

#[cfg(feature = "s3")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `cargo xtask test-long store-churn`"]
async fn very_many_stores_that_come_and_go_over_a_bucket_give_back_what_they_took() {
    let _turn = TURN.lock().await;
    cycle(larder_test_kit::s3_backend::open().await, None, how_many(100_000)).await;
}

/// Number of clients that use a store at once.
const CLIENTS: usize = 16;

/// Times of reads and of writes.
type Times = [Vec<Duration>; 2];

/// Returns the time that all but one in a hundred reads, and writes, took at most.
fn p99(mut times: Times) -> [Duration; 2] {
    for times in &mut times {
        times.sort_unstable();
    }
    times.map(|times| times[times.len() * 99 / 100])
}

/// Reads and writes records as several clients do, until told to stop.
async fn use_store(gateway: &Gateway, store: &StoreSnapshot, until: &AtomicBool) -> Times {
    let clients = (0..CLIENTS).map(async |client| {
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        let (read_key, written_key) = ("a".parse().expect("a key"), format!("b{client}"));
        while !until.load(Relaxed) {
            let began = Instant::now();
            gateway.records.get(store, &read_key, None).await.expect("a read");
            let read = Instant::now();
            gateway.put(store, &written_key, "salt").await.expect("a write");
            reads.push(read - began);
            writes.push(read.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        [reads, writes]
    });
    let of_all = join_all(clients).await;
    [0, 1].map(|kind| of_all.iter().flat_map(|times| times[kind].clone()).collect())
}

/// Reads and writes a record for a while.
async fn use_quietly(gateway: &Gateway, store: &StoreSnapshot) -> Times {
    let is_over = AtomicBool::new(false);
    let pause = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        is_over.store(true, Relaxed);
    };
    tokio::join!(use_store(gateway, store, &is_over), pause).0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes very long: `cargo xtask test-long million-stores`"]
async fn a_million_stores_are_listed_and_swept_beside_requests() {
    let _turn = TURN.lock().await;
    let (folder, stores) = (folder(), how_many(1_000_000));
    let objects = open(folder.path());
    let larder = Larder::over(objects.clone());
    let living = larder.gateway.create(larder.owner, Some("living")).await;
    larder.gateway.put(&living, "a", "flour").await.expect("a write");
    let began = Instant::now();
    larder.make(stores, 0).await;
    println!("made {stores} stores in {:.1?}; the index has {} MiB", began.elapsed(), index_bytes(folder.path()) / MIB);
    let gateway = larder.restarted();
    let (began, memory_before) = (Instant::now(), bytes_in_use());
    assert_eq!(larder.list(&gateway).await.1, stores + 1);
    let grown = bytes_in_use().saturating_sub(memory_before) / MIB;
    println!("first list: {:.2?}, {grown} MiB of memory", began.elapsed());
    let began = Instant::now();
    let query = StoreQuery { unnamed: true, limit: 10, search: Some("none-such".to_owned()), ..StoreQuery::default() };
    gateway.catalog.list(larder.owner, &query).await.expect("a search");
    println!("search: {:.2?}", began.elapsed());
    larder.clock.advance(DAY + STEP);
    let began = Instant::now();
    assert_eq!(larder.list(&gateway).await, (1, 1));
    println!("list after all have expired: {:.2?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(larder.list(&larder.restarted()).await, (1, 1));
    println!("first list after all have expired: {:.2?}", began.elapsed());

    let mut without = use_quietly(&gateway, &living).await;
    let swept = AtomicBool::new(false);
    let sweep = async {
        for pass in ["found expired", "deleted", "gone"] {
            let (began, mut done) = (Instant::now(), 0);
            loop {
                let more = in_background(gateway.catalog.reconcile_due()).await.expect("a run");
                done += more;
                if more == 0 {
                    break;
                }
            }
            println!("{pass}: {done} stores in {:.1?}", began.elapsed());
            larder.clock.advance(STEP);
        }
        swept.store(true, Relaxed);
    };
    let (beside, ()) = tokio::join!(use_store(&gateway, &living, &swept), sweep);
    // Measured before and after the sweep, since the latency of a disk changes.
    for (times, after) in without.iter_mut().zip(use_quietly(&gateway, &living).await) {
        times.extend(after);
    }
    let (without, beside) = (p99(without), p99(beside));
    println!("p99 of reads and writes: {without:?} quiet, {beside:?} beside the sweep");
    println!(
        "left: {:?}; the index has {} MiB, the process {}",
        larder.objects().await,
        index_bytes(folder.path()) / MIB,
        resident_bytes() / MIB
    );
    objects.close().await;
}
