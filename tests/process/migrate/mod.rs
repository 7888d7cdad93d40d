//! `larder migrate`: a whole installation from a folder to a bucket and back, cut off in the middle each time, is the same to its users.

mod installation;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use larder::{
    clock::{SystemClock, SystemRandom},
    storage::{
        GetOptions, ListOptions, ObjectStore, PutOptions,
        s3::{CAPABILITIES_KEY, S3Options, S3Store},
    },
};
use rusqlite::{Connection, OpenFlags};

use installation::{Caller, STORES, Seen, fill, ids};

use crate::{
    bucket::{own_prefix, variable},
    client::Upload,
    folder,
    program::{Ended, Program, command, pause, run, until},
};

/// Bytes of a record that is still on its way when a migration is killed.
const LARGE: u64 = 32 << 20;

/// Source and destination of an installation, with its secrets.
struct Cluster<'a> {
    work: &'a Path,
    prefix: String,
}

impl<'a> Cluster<'a> {
    /// Creates a site below a prefix of its own, with the object store's capabilities already known: their detection
    /// takes seconds.
    fn new(work: &'a Path, test: &str) -> Self {
        let site = Self { work, prefix: own_prefix(test) };
        block_on(async {
            let probed = open("probe").await;
            probed.probe(&SystemRandom).await.expect("a probe");
            let found = probed.get(CAPABILITIES_KEY, GetOptions::default()).await.expect("it is kept").body;
            open(&site.prefix).await.put(CAPABILITIES_KEY, found, PutOptions::default()).await.expect("a write");
        });
        site
    }

    /// Returns the program with both ends in its settings.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.work, arguments);
        command.env("LARDER_S3_ENDPOINT", variable("LARDER_TEST_S3_ENDPOINT"));
        command.env("LARDER_S3_REGION", variable("LARDER_TEST_S3_REGION"));
        command.env("LARDER_S3_BUCKET", variable("LARDER_TEST_S3_BUCKET"));
        command.env("LARDER_S3_PREFIX", format!("{}/", self.prefix)).env("LARDER_SECRET", "of the installation");
        command.env("LARDER_LISTEN", "127.0.0.1:0").env("LARDER_PUBLIC_URL", "http://larder.test");
        command
    }

    /// Returns a gateway over the folder, which makes its admin token itself.
    fn over_folder(&self) -> Command {
        let mut command = self.command(&["serve"]);
        for setting in ["ENDPOINT", "REGION", "BUCKET", "PREFIX"] {
            command.env_remove(format!("LARDER_S3_{setting}"));
        }
        command
    }

    /// Returns a gateway over the bucket, as the leader where there has to be one.
    fn over_bucket(&self) -> Command {
        let mut command = self.command(&["serve"]);
        command.env("LARDER_LEADER", "self").env("LARDER_TOKEN", self.token());
        command
    }

    fn token(&self) -> String {
        fs::read_to_string(self.work.join("token")).expect("it was written down").trim().to_owned()
    }

    fn migrate(&self, arguments: &[&str]) -> Ended {
        run(self.migration(arguments))
    }

    fn migration(&self, arguments: &[&str]) -> Command {
        self.command(&[&["migrate"], arguments].concat())
    }

    /// Keys of the bucket below a prefix, up to a page of them.
    fn keys(&self, prefix: &str) -> Vec<String> {
        let options = ListOptions { prefix: prefix.to_owned(), start_after: None, limit: 1000 };
        let page = block_on(async { open(&self.prefix).await.list(options).await.expect("a list") });
        page.objects.into_iter().map(|object| object.key).filter(|key| key != CAPABILITIES_KEY).collect()
    }
}

/// Returns the bucket below a prefix.
async fn open(prefix: &str) -> S3Store {
    let options = S3Options {
        endpoint: Some(variable("LARDER_TEST_S3_ENDPOINT").parse().expect("an origin")),
        region: Some(variable("LARDER_TEST_S3_REGION")),
        prefix: format!("{prefix}/"),
        ..S3Options::new(variable("LARDER_TEST_S3_BUCKET"))
    };
    S3Store::open(options, Arc::new(SystemClock), Arc::new(SystemRandom)).await.expect("a bucket")
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Starts a migration and kills it once it has come somewhere.
fn cut_off(mut command: Command, has_come_so_far: impl Fn() -> bool) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    until("the migration is in the middle", || has_come_so_far() || child.try_wait().expect("it is there").is_some());
    child.kill().expect("it is killed");
    assert_eq!(child.wait().expect("it ends").code(), None, "it had ended before it was killed");
}

fn said(ended: &Ended) -> String {
    format!("{}\n{}", ended.stdout.join("\n"), ended.stderr)
}

fn fails(ended: &Ended, words: &str) {
    assert!(ended.status.code() == Some(1) && ended.stderr.contains(words), "{}", said(ended));
}

/// The second attempt went on where the first was killed.
fn goes_on(ended: &Ended) {
    assert!(ended.status.success() && said(ended).contains("resumed after object"), "{}", said(ended));
}

/// Returns whether the folder has objects whose keys begin so.
fn folder_has(work: &Path, prefix: &str) -> bool {
    let index = folder::data(work).join("index.sqlite");
    let Ok(index) = Connection::open_with_flags(index, OpenFlags::SQLITE_OPEN_READ_ONLY) else { return false };
    let found = index.query_row(
        "SELECT count(*) FROM objects WHERE key >= ?1 AND key < ?2",
        [prefix.as_bytes(), format!("{prefix}~").as_bytes()],
        |row| row.get::<_, i64>(0),
    );
    found.is_ok_and(|count| count > 0)
}

fn there_and_back(stores: usize) {
    let work = tempfile::tempdir().expect("a folder");
    let site = Cluster::new(work.path(), "migrate");
    let gateway = Program::start(site.over_folder());
    let token = fs::read_to_string(folder::data(work.path()).join("admin-token")).expect("it was made");
    fs::write(work.path().join("token"), &token).expect("it is written down");
    let tokens = fill(&gateway, token.trim(), stores);
    fails(&site.migrate(&["--to", "bucket"]), "in use by another process");
    gateway.stop();
    // Counters are written down at the end.
    let gateway = Program::start(site.over_folder());
    let before = Seen::by(&gateway, &tokens);
    assert!(
        before.ends.len() >= stores && before.records.len() >= stores,
        "{} {}",
        before.ends.len(),
        before.records.len()
    );
    gateway.stop();

    let planned = site.migrate(&["--to", "bucket", "--dry-run"]);
    assert!(planned.status.success() && said(&planned).contains("nothing was changed"), "{}", said(&planned));
    assert_eq!(site.keys("larder/"), Vec::<String>::new());
    cut_off(site.migration(&["--to", "bucket"]), || !site.keys("larder/store-index/").is_empty());
    fails(&run(site.over_bucket()), "has not ended");
    goes_on(&site.migrate(&["--to", "bucket"]));
    // The first gateway there writes lifecycle rules at once: they must find nothing to delete.
    assert_eq!(site.keys("larder/expiring/"), Vec::<String>::new());
    assert!(!site.keys("larder/permanent/").is_empty());
    fails(&site.migrate(&["--to", "bucket"]), "is not empty");
    let gateway = Program::start(site.over_bucket());
    fails(&site.migrate(&["--to", "folder", "--gateways-stopped"]), "is not empty");
    Seen::by(&gateway, &tokens).is_same_as(&before);
    gateway.stop();

    fs::rename(folder::data(work.path()), work.path().join("left")).expect("it is moved away");
    let back = &["--to", "folder", "--gateways-stopped"];
    cut_off(site.migration(back), || folder_has(work.path(), "larder/store-index/"));
    fails(&run(site.over_folder()), "has not ended");
    goes_on(&site.migrate(back));
    let kept = fs::read_to_string(folder::data(work.path()).join("admin-token")).expect("it came along");
    assert_eq!(kept.trim(), token.trim());
    let gateway = Program::start(site.over_folder());
    Seen::by(&gateway, &tokens).is_same_as(&before);
    gateway.stop();
}

#[test]
fn an_installation_that_went_to_a_bucket_and_back_is_the_same_though_each_way_was_cut_off() {
    there_and_back(100);
}

#[test]
#[ignore = "takes minutes: `cargo xtask test-long migrate`"]
fn a_thousand_stores_that_went_to_a_bucket_and_back_are_the_same_though_each_way_was_cut_off() {
    there_and_back(1000);
}

#[test]
fn a_bucket_that_is_served_from_is_not_migrated_and_one_that_was_used_since_is_copied_anew() {
    let work = tempfile::tempdir().expect("a folder");
    let site = Cluster::new(work.path(), "served");
    fs::write(work.path().join("token"), crate::program::TOKEN).expect("it is written down");
    let put = |key: &str, size: u64| {
        let gateway = Program::start(site.over_bucket());
        let records = gateway.records_of("pantry");
        let mut bytes = std::io::Read::take(std::io::repeat(b'a'), size);
        let upload = Upload::Known(size, &mut bytes);
        assert_eq!(
            gateway.client().send("PUT", &format!("{records}/{key}"), "", upload).expect("an answer").status,
            201
        );
        gateway
    };
    let gateway = put("first", LARGE);
    // It waits for the record of the time, which the gateway writes once a minute.
    let mut waiting = site.migration(&["--to", "folder"]).stderr(Stdio::null()).spawn().expect("it starts");
    pause(std::time::Duration::from_secs(1));
    assert!(waiting.try_wait().expect("it is there").is_none(), "it did not wait");
    waiting.kill().expect("it is killed");
    waiting.wait().expect("it ends");
    assert!(!folder::data(work.path()).exists(), "nothing was made");
    gateway.kill();
    let back = &["--to", "folder", "--gateways-stopped"];
    cut_off(site.migration(back), || folder_has(work.path(), "larder/format"));
    put("second", 4).kill();
    // The record of the time tells at once, if a minute has passed since it was written; else the comparison in the end does.
    let mut done = site.migrate(back);
    if !done.status.success() {
        fails(&done, "written at the source since the migration began");
        fails(&run(site.over_folder()), "has not ended");
        done = site.migrate(back);
    }
    assert!(done.status.success(), "{}", said(&done));
    let mut serve = site.over_folder();
    serve.env("LARDER_TOKEN", site.token());
    let gateway = Program::start(serve);
    let mut caller = Caller::new(&gateway, &site.token());
    let id = ids(&caller.get(&format!("{STORES}?limit=10&ownership=ownedByMe")))[0].clone();
    assert_eq!(caller.get(&format!("{STORES}/{id}/keys"))["count"], 2);
}
