//! The price meter of the program, compared with the requests on the wire to its object store.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    client::{Client, Upload},
    mock_minio::{Deviations, MockMinio},
    program::{Program, TOKEN, WAIT_TIMEOUT, command, now, pause, until},
    proxy::{Ending, Fault, Proxy, Refusal, Request, Times},
};

/// The smallest part that may be set.
const PART: usize = 5 << 20;

/// As what a request is billed, by the vendors' lists and not by Larder's.
fn class_of(request: &Request) -> &'static str {
    let parameters: Vec<&str> = request.query.split('&').map(|pair| pair.split('=').next().unwrap_or(pair)).collect();
    match request.method.as_str() {
        "DELETE" => "free",
        "POST" if parameters.contains(&"delete") => "free",
        "PUT" | "POST" => "classA",
        "GET" if parameters.contains(&"list-type") => "classA",
        "GET" | "HEAD" => "classB",
        other => panic!("object stores are not asked to {other}"),
    }
}

/// Counts the requests of each class that came by.
fn counted(requests: &[Request]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::from([("classA", 0), ("classB", 0), ("free", 0)]);
    for request in requests {
        *counts.entry(class_of(request)).or_default() += 1;
    }
    counts
}

/// Returns the counts of each class that the meter shows in a part of its response.
fn metered(usage: &Value) -> BTreeMap<&'static str, u64> {
    ["classA", "classB", "free"].map(|class| (class, usage["calls"][class].as_u64().expect("a count"))).into()
}

fn sum(parts: &[BTreeMap<&'static str, u64>]) -> BTreeMap<&'static str, u64> {
    let mut sum = BTreeMap::new();
    for (class, count) in parts.iter().flatten() {
        *sum.entry(*class).or_default() += count;
    }
    sum
}

struct Cluster {
    _runtime: Runtime,
    _object_store: MockMinio,
    proxy: Proxy,
    program: Program,
}

impl Cluster {
    fn start(folder: &std::path::Path) -> Self {
        let runtime = Runtime::new().expect("the system has threads");
        let object_store = runtime.block_on(MockMinio::start(Deviations::default()));
        let proxy = runtime.block_on(Proxy::before(&object_store.endpoint()));
        let mut command = command(folder, &["serve", "--listen", "127.0.0.1:0", "--prices", "a=1000,b=0,out=1"]);
        command
            .env("LARDER_TOKEN", TOKEN)
            .env("LARDER_S3_ENDPOINT", proxy.endpoint())
            .env("LARDER_S3_BUCKET", "metered");
        command.env("LARDER_S3_PART_SIZE", PART.to_string());
        command.env("AWS_ACCESS_KEY_ID", "of-a-test").env("AWS_SECRET_ACCESS_KEY", "of-a-test");
        Self { _runtime: runtime, _object_store: object_store, proxy, program: Program::start(command) }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&[u8]>) -> (u16, Vec<u8>) {
        let mut client = self.program.client();
        let upload = match body {
            Some(mut bytes) => {
                let answer = client.send(method, path, "text/plain", Upload::Known(bytes.len() as u64, &mut bytes));
                return read(answer.expect("it answers"));
            }
            None => Upload::None,
        };
        read(client.send(method, path, "application/json", upload).expect("it answers"))
    }

    fn usage(&self, query: &str) -> Value {
        let (status, text) = self.ask("GET", &format!("/larder/v1/usage{query}"), None);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&text));
        serde_json::from_slice::<Value>(&text).expect("JSON")["data"].clone()
    }

    /// Waits until the meter shows the requests since the program's start, none of them twice or without an owner.
    fn agrees(&self, what: &str) {
        let began = now();
        loop {
            let (usage, wire) = (self.usage(""), counted(&self.proxy.requests()));
            let stores = usage["stores"]["items"].as_array().expect("a list").iter().map(metered);
            let others = ["withoutStore", "background"].map(|part| metered(&usage[part]));
            let parts: Vec<_> = stores.chain(others).chain([metered(&usage["stores"]["others"])]).collect();
            let (total, parts) = (metered(&usage["total"]), sum(&parts));
            if total == wire && parts == wire {
                return;
            }
            assert!(
                began.elapsed() < WAIT_TIMEOUT / 4,
                "{what}: {total:?} in all, {parts:?} apart, {wire:?} on the wire"
            );
            pause(Duration::from_millis(50));
        }
    }
}

fn read(mut answer: crate::client::Answer<'_>) -> (u16, Vec<u8>) {
    let (status, mut bytes) = (answer.status, Vec::new());
    std::io::Read::read_to_end(&mut answer.body, &mut bytes).expect("it is whole");
    (status, bytes)
}

#[test]
fn the_meter_shows_the_calls_that_came_over_the_wire() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = Cluster::start(folder.path());
    site.agrees("the start");
    let records = site.program.records_of("pantry");
    let store = records.split('/').nth(3).expect("an id").to_owned();
    site.agrees("a new store");
    assert_eq!(site.ask("PUT", &format!("{records}/small"), Some(b"flour")).0, 201);
    assert_eq!(site.ask("GET", &format!("{records}/small"), None), (200, b"flour".to_vec()));
    assert_eq!(site.ask("GET", &format!("{records}/absent"), None).0, 404);
    assert_eq!(site.ask("GET", &format!("{}/keys", records.trim_end_matches("/records")), None).0, 200);
    site.agrees("a record that is written, read and listed");
    let large = vec![b'x'; 2 * PART + 1];
    assert_eq!(site.ask("PUT", &format!("{records}/large"), Some(&large)).0, 201);
    site.agrees("a multipart upload");
    assert_eq!(site.ask("GET", &format!("{records}/large"), None).1.len(), large.len());
    let of_store = site.usage(&format!("?store={store}"));
    assert!(of_store["bytesIn"].as_u64() > Some(large.len() as u64), "{of_store}");
    assert!(of_store["bytesOut"].as_u64() > Some(large.len() as u64), "{of_store}");
    let (status, zip) = site.ask("GET", &records, None);
    assert_eq!(status, 200);
    assert!(zip.starts_with(b"PK\x03\x04") && zip.len() < large.len(), "an archive, and a compressed one");
    site.agrees("a download of all");
    for fault in [Fault::Refuse(Refusal::slow_down()), Fault::LoseResponse(Ending::Reset)] {
        let path = "small";
        let armed = site.proxy.arm(fault, Times::Next(1), move |request| request.path.ends_with(path));
        assert_eq!(site.ask("GET", &format!("{records}/small"), None).0, 200);
        assert_eq!(armed.hits(), 1);
    }
    let armed = site.proxy.arm(Fault::Refuse(Refusal::slow_down()), Times::Next(2), |request| request.method == "PUT");
    assert_eq!(site.ask("PUT", &format!("{records}/small"), Some(b"salt")).0, 201);
    assert_eq!(armed.hits(), 2);
    site.agrees("calls that are made again");
    assert_eq!(site.ask("DELETE", &format!("{records}/small"), None).0, 204);
    assert_eq!(site.ask("DELETE", records.trim_end_matches("/records"), None).0, 204);
    site.agrees("what is deleted");
    let of_store = site.usage("")["stores"]["items"][0].clone();
    assert_eq!(of_store["id"], store);
    let cost = of_store["cost"].as_f64().expect("there are prices");
    #[expect(clippy::cast_precision_loss, reason = "there are few calls")]
    let expected = of_store["calls"]["classA"].as_u64().expect("a count") as f64;
    assert!(cost >= expected && cost < expected + 1.0, "{of_store}");
    let ended = site.program.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
}

#[test]
fn what_an_upload_cost_whose_client_left_is_charged_to_its_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = Cluster::start(folder.path());
    let records = site.program.records_of("left");
    let store = records.split('/').nth(3).expect("an id").to_owned();
    let before = metered(&site.usage(&format!("?store={store}")));
    let mut client = Client::connect(site.program.address, TOKEN).expect("it listens");
    client.begin("PUT", &format!("{records}/half"), &format!("content-length: {}\r\n", 4 * PART)).expect("it takes it");
    client.write(&vec![b'x'; PART + 1]).expect("it takes it");
    let is_part = |request: &Request| request.query.contains("partNumber");
    until("a part is sent", || site.proxy.requests().iter().any(is_part));
    drop(client);
    until("it is given up", || site.proxy.requests().iter().any(|request| request.method == "DELETE"));
    site.agrees("an upload that was left");
    let after = metered(&site.usage(&format!("?store={store}")));
    assert_eq!(after["free"] - before["free"], 1, "the upload was given up for the store: {after:?}");
    assert!(after["classA"] - before["classA"] >= 2, "it was begun, and a part sent: {after:?}");
    assert!(site.program.stop().status.success());
}
