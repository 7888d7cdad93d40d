//! Every format of stored data, as its version wrote it: opened, read, changed, and read again.
//!
//! `tests/fixtures/{format}` is a data folder with an installation that was filled before a bucket, and
//! `expected.json`, its clients' view of it; `tests/fixtures/make.py` made them. A bucket has the same objects as a
//! folder, so the other backends are tested with it as well.

use std::{fs, path::Path, sync::Arc};

use larder::{
    auth::{self, MasterSecret, Secrets},
    clock::{SystemRandom, Timestamp},
    kv, runs,
    storage::{
        ByteStream, GetOptions, ListOptions, MAX_LIST_KEYS, ObjectStore, PutOptions,
        embedded::{EmbeddedOptions, EmbeddedStore, check_integrity},
        in_memory::InMemoryStore,
    },
};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Larder, STORES, ShiftedClock};

/// Token of the user that fixtures have beside the admin.
const BAKER: &str = "larder_baker0123456789abcdefghijklmno3T4T7P";

/// Maximum bytes of an object in a fixture.
const MAX_BYTES: u64 = 1 << 20;

/// Prefixes of which a fixture has no object: queues that a finished run is in after an hour and later, and a secret that was set by
/// `LARDER_SECRET`.
const MISSING: [&str; 3] = ["larder/runs-finished/", "larder/runs-removal/", "larder/auth/master-secret"];

/// An installation of a format.
struct Fixture {
    format: u32,
    expected: Value,
}

impl Fixture {
    fn of(format: u32) -> Self {
        let text = fs::read_to_string(place(format).join("expected.json")).expect("a fixture");
        Self { format, expected: serde_json::from_str(&text).expect("JSON") }
    }

    /// Returns a clock that begins when the fixture was made: stores that have expired since were there then.
    fn clock(&self) -> Arc<ShiftedClock> {
        let made_at: Timestamp = self.expected["madeAt"].as_str().expect("a text").parse().expect("a time");
        Arc::new(ShiftedClock::from(made_at))
    }

    /// Returns a copy of the data folder.
    fn lay_out(&self) -> TempDir {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        copy_folder(&place(self.format), folder.path());
        fs::remove_file(folder.path().join("expected.json")).expect("it was copied");
        folder
    }

    /// Checks that clients see what they saw.
    async fn is_as_it_was(&self, larder: &Larder) {
        for read in self.expected["reads"].as_array().expect("an array") {
            let request = larder.get(read["path"].as_str().expect("a text"));
            let request = match &read["as"] {
                Value::Null => request.anonymous(),
                Value::String(user) if user == "admin" => request,
                Value::String(user) if user == "baker" => request.token(BAKER),
                token => request.token(token.as_str().expect("a text")),
            };
            let status = read["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
            let reply = request.await.answers(status);
            if let Some(content_type) = read["contentType"].as_str() {
                assert_eq!(reply.expect_field("content-type"), content_type, "{reply}");
                let text = std::str::from_utf8(&reply.body).expect("a text");
                match (&read["text"], &read["start"]) {
                    (Value::String(whole), _) => assert!(text == whole, "{reply}"),
                    (_, start) => {
                        assert!(text.starts_with(start.as_str().expect("a text")), "{reply}");
                        assert_eq!(text.len() as u64, read["length"], "{reply}");
                    }
                }
            } else if status == 200 {
                holds(&read["data"], &reply.data(), &reply.what);
            }
        }
    }
}

/// Checks that every member of `expected` is in `found`, with the same value.
fn holds(expected: &Value, found: &Value, what: &str) {
    match (expected, found) {
        (Value::Object(members), Value::Object(_)) => {
            members.iter().for_each(|(name, value)| holds(value, &found[name], &format!("{what}: {name}")));
        }
        (Value::Array(items), Value::Array(others)) => {
            assert_eq!(items.len(), others.len(), "{what}: {found}");
            items.iter().zip(others).for_each(|(item, other)| holds(item, other, what));
        }
        (expected, found) => assert_eq!(expected, found, "{what}"),
    }
}

fn place(format: u32) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{format}"))
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).expect("it is copied");
        }
    }
}

/// Copies all objects of one object store into another one.
async fn carry(from: &dyn ObjectStore, to: &dyn ObjectStore) {
    let mut start_after = None;
    loop {
        let options = ListOptions { prefix: String::new(), start_after, limit: MAX_LIST_KEYS };
        let page = from.list(options).await.expect("a list");
        for object in &page.objects {
            let found = from.get(&object.key, GetOptions::default()).await.expect("it is there");
            let options = PutOptions { attributes: found.meta.attributes, ..PutOptions::default() };
            let bytes = found.body.into_bytes(MAX_BYTES).await.expect("it is whole");
            to.put(&object.key, ByteStream::from(bytes), options).await.expect("it is stored");
        }
        start_after = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
        if start_after.is_none() {
            return;
        }
    }
}

/// Reads everything, changes something of each kind, and reads it again with an empty cache.
async fn use_all(fixture: &Fixture, objects: Arc<dyn ObjectStore>) {
    let secrets = Secrets::new(MasterSecret::new("the master secret of the tests"));
    kv::Installation::join(objects.as_ref(), &SystemRandom, &secrets, None).await.expect("it can be used");
    let larder = Larder::start(objects.clone(), fixture.clock()).await;
    fixture.is_as_it_was(&larder).await;
    larder.reconcile_stores().await;
    larder.reconcile_runs().await;
    fixture.is_as_it_was(&larder.restarted().await).await;

    let stores = larder.get(format!("{STORES}?unnamed=1")).await.answers(200).data();
    let stores = stores["items"].as_array().expect("an array").clone();
    assert!(stores.len() >= 3, "{stores:?}");
    for store in &stores {
        let path = format!("{STORES}/{}", store["id"].as_str().expect("an id"));
        larder.put(format!("{path}/records/new")).content_type("text/plain").body("new").await.answers(201);
        larder.put(&path).json(&serde_json::json!({ "title": "seen again" })).await.answers(200);
    }
    larder.post(format!("{STORES}?name=closed")).await.answers(201);
    let after = format!("{STORES}/~after");
    larder.delete(format!("{after}/records/replaced")).await.answers(204);
    larder.put(&after).json(&serde_json::json!({ "name": "once-more" })).await.answers(200);
    larder.write_use_down().await;
    larder.count_only().await;

    let larder = larder.restarted().await;
    for store in &stores {
        let path = format!("{STORES}/{}", store["id"].as_str().expect("an id"));
        larder.get(format!("{path}/records/new")).await.answers(200).holds(b"new");
        assert_eq!(larder.get(&path).await.answers(200).data()["title"], "seen again");
    }
    larder.get(format!("{STORES}/~once-more/records/replaced")).await.answers(404);
    larder.get(format!("{STORES}/~after")).await.answers(404);
    larder.get(format!("{STORES}/~shop/records/page.html")).await.answers(200);
    larder.delete(format!("{STORES}/~shop")).await.answers(204);
    larder.reconcile_stores().await;
    larder.get(format!("{STORES}/~shop")).await.answers(404);
    assert_eq!(kv::check_format(objects.as_ref()).await.expect("a look"), Some(kv::FORMAT));
}

/// Checks that the fixture has an object below every prefix of which an installation has any.
async fn has_everything(objects: &dyn ObjectStore) {
    for prefix in kv::PREFIXES.into_iter().chain(auth::PREFIXES).chain(runs::PREFIXES) {
        let options = ListOptions { prefix: prefix.to_owned(), start_after: None, limit: 1 };
        let page = objects.list(options).await.expect("a list");
        assert_eq!(page.objects.is_empty(), MISSING.contains(&prefix), "{prefix}");
    }
}

async fn in_its_folder(format: u32) {
    let fixture = Fixture::of(format);
    let folder = fixture.lay_out();
    let options = EmbeddedOptions::new(folder.path());
    let objects = Arc::new(EmbeddedStore::open(&options, fixture.clock()).expect("the folder opens"));
    has_everything(objects.as_ref()).await;
    use_all(&fixture, objects.clone()).await;
    objects.close().await;
    // Tasks of the gateways still hold the folder, but nothing changes any more.
    let copy = tempfile::tempdir().expect("there is room for a folder");
    copy_folder(folder.path(), copy.path());
    check_integrity(copy.path(), |what, wrong| panic!("{what}: {wrong}")).expect("it can be read");
}

async fn over(format: u32, objects: Arc<dyn ObjectStore>) {
    let fixture = Fixture::of(format);
    let folder = fixture.lay_out();
    let options = EmbeddedOptions::new(folder.path());
    let from = EmbeddedStore::open(&options, fixture.clock()).expect("the folder opens");
    carry(&from, objects.as_ref()).await;
    use_all(&fixture, objects).await;
}

macro_rules! every_format {
    ($($name:ident: $format:literal),*) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn is_read_and_changed_in_its_folder() {
                super::in_its_folder($format).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn is_read_and_changed_in_memory() {
                let clock = super::Fixture::of($format).clock();
                super::over($format, std::sync::Arc::new(super::InMemoryStore::new(clock))).await;
            }

            #[cfg(feature = "s3")]
            #[tokio::test(flavor = "multi_thread")]
            async fn is_read_and_changed_in_a_bucket() {
                super::over($format, larder_test_kit::s3_backend::open().await).await;
            }
        }
    )* };
}

every_format!(format_1: 1);

#[tokio::test]
async fn every_format_that_is_written_has_a_fixture() {
    for format in 1..=kv::FORMAT {
        assert!(
            place(format).is_dir(),
            "format {format} has no fixture: see tests/fixtures/make.py, and every_format above"
        );
    }
    assert!(!place(kv::FORMAT + 1).exists(), "a fixture is of a format that nothing writes");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let fixture = Fixture::of(kv::FORMAT);
    let engine = EmbeddedStore::open(&EmbeddedOptions::new(folder.path()), fixture.clock()).expect("the folder opens");
    let larder = Larder::start(Arc::new(engine), fixture.clock()).await;
    let store = larder.new_store().await;
    let written = fs::read_to_string(folder.path().join("format")).expect("it is there");
    let known = fs::read_to_string(place(kv::FORMAT).join("format")).expect("it is there");
    assert_eq!(written, known, "the folder's version has risen: make a fixture of it by tests/fixtures/make.py");
    let document = format!("larder/stores/{}", store.id);
    let document = larder.objects().get(&document, GetOptions::default()).await.expect("it is there");
    let document = document.body.into_bytes(MAX_BYTES).await.expect("it is whole");
    let document: Value = serde_json::from_slice(&document).expect("JSON");
    assert_eq!(document["format"], kv::FORMAT, "documents have another format than what is stored");
}
