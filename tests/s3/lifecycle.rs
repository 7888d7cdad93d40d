//! Lifecycle rules on a bucket of the object store that the environment names. Each test has a bucket of its own, since
//! rules are the bucket's.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use larder::{
    clock::{Clock, Random, SystemClock, SystemRandom},
    kv::LifecycleRules,
    storage::{
        ObjectStore, Precondition, Reconciled, WantedRule, WantedRules,
        s3::{Credentials, S3Store, Signable, SigningTime, UNSIGNED_PAYLOAD, authorization},
    },
};
use md5::{Digest, Md5};

use crate::{
    behind_proxy::put,
    proxy::Proxy,
    tiny::{Answer, Client},
    watcher::Watched,
};
use larder_test_kit::s3_backend::{open_with, variable};

/// Foreign rules: by tags, by sizes where those are known, in an unusual layout.
const FOREIGN: [&str; 2] = [
    "<Rule>\n   <ID>theirs</ID><!-- a comment -->\n <Filter><Prefix>theirs/logs/</Prefix></Filter>\n<Status>Enabled</Status>\
     <Expiration>  <Days>30</Days></Expiration></Rule>",
    "<Rule><ID>tagged</ID><Filter><And><Prefix>theirs/</Prefix><Tag><Key>kind</Key><Value>a&amp;b</Value></Tag></And></Filter>\
     <Status>Disabled</Status><Expiration><Days>3</Days></Expiration></Rule>",
];

const SIZED: &str = "<Rule><ID>sized</ID><Filter><And><Prefix>theirs/</Prefix><ObjectSizeGreaterThan>500</ObjectSizeGreaterThan>\
    </And></Filter><Status>Enabled</Status><Expiration><Days>4</Days></Expiration></Rule>";

/// A bucket, as others than Larder see it, and a proxy before the object store.
struct Bucket {
    name: String,
    proxy: Proxy,
}

impl Bucket {
    async fn new() -> Self {
        let own = (&SystemRandom as &dyn Random).characters(b"abcdefghijklmnopqrstuvwxyz", 16);
        let name = format!("larder-rules-{}", String::from_utf8(own).expect("letters"));
        Self { name, proxy: Proxy::before(&variable("LARDER_TEST_S3_ENDPOINT")).await }
    }

    /// Returns a Larder's client for it, under a prefix.
    async fn larder(&self, prefix: &str) -> Arc<S3Store> {
        let through = self.proxy.endpoint().parse().expect("an origin");
        let opened = open_with(|options| {
            options.endpoint = Some(through);
            options.bucket.clone_from(&self.name);
            prefix.clone_into(&mut options.prefix);
        });
        opened.await.0
    }

    async fn ask(&self, method: &str, about: &str, body: &str) -> Answer {
        let endpoint = variable("LARDER_TEST_S3_ENDPOINT");
        let keys = Credentials::new(variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"), None, None);
        let (time, path) = (SigningTime::new(SystemClock.now()), format!("/{}", self.name));
        let md5 = BASE64_STANDARD.encode(Md5::digest(body.as_bytes()));
        let mut headers =
            vec![("host", "tiny"), ("x-amz-content-sha256", UNSIGNED_PAYLOAD), ("x-amz-date", time.as_str())];
        let query = format!("{about}=");
        let signable = Signable { method, path: &path, query: &query, headers: &headers, payload: UNSIGNED_PAYLOAD };
        let authorization = authorization(&signable, time, &variable("LARDER_TEST_S3_REGION"), &keys);
        headers.remove(0);
        headers.extend([("authorization", authorization.as_str()), ("content-md5", md5.as_str())]);
        let mut client = Client::open(&endpoint).await;
        client.ask_with(method, &format!("{path}?{query}"), &headers, body.as_bytes()).await
    }

    /// Writes foreign rules, and returns them as this server stores them.
    async fn set(&self, rules: &[&str]) -> Vec<String> {
        let xmlns = "http://s3.amazonaws.com/doc/2006-03-01/";
        let rules = rules.concat();
        let document = format!("<LifecycleConfiguration xmlns=\"{xmlns}\">\n{rules}</LifecycleConfiguration>");
        let answer = self.ask("PUT", "lifecycle", &document).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.rules().await
    }

    /// Returns all rules, each in this server's form, in one order.
    async fn rules(&self) -> Vec<String> {
        let answer = self.ask("GET", "lifecycle", "").await;
        if answer.status == 404 {
            return Vec::new();
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        let rules = text.split("<Rule>").skip(1).filter_map(|rest| rest.split_once("</Rule>"));
        let mut rules: Vec<_> = rules.map(|(rule, _)| rule.to_owned()).collect();
        rules.sort();
        rules
    }

    /// Requests that changed rules since the last time.
    fn writes(&self) -> usize {
        let requests = self.proxy.take_requests();
        requests.iter().filter(|request| request.query.starts_with("lifecycle") && request.method != "GET").count()
    }
}

async fn reconcile(store: &S3Store, days: &[u16]) -> Reconciled {
    let rule = |days: &u16| WantedRule { prefix: format!("larder/expiring/{days}/"), days: *days };
    let expirations = days.iter().map(rule).collect();
    let wanted = WantedRules { root: "larder/".to_owned(), expirations, upload_days: None };
    store.lifecycle().expect("it may have rules").reconcile(&wanted).await.unwrap()
}

#[tokio::test]
async fn rules_are_written_once_and_read_back_as_they_are() {
    let bucket = Bucket::new().await;
    let store = bucket.larder("").await;
    let rules = LifecycleRules::new(store);
    assert_eq!(rules.reconcile().await.unwrap(), Reconciled::Written);
    assert_eq!(bucket.writes(), 1);
    let standing = bucket.rules().await;
    assert_eq!(standing.len(), 6, "{standing:?}");
    assert!(standing.iter().all(|rule| rule.contains("<Prefix>larder/")), "{standing:?}");
    assert_eq!(rules.reconcile().await.unwrap(), Reconciled::Unchanged);
    // A gateway that starts next.
    let next = LifecycleRules::new(bucket.larder("").await);
    assert_eq!(next.reconcile().await.unwrap(), Reconciled::Unchanged);
    assert_eq!((bucket.writes(), bucket.rules().await), (0, standing));
}

#[tokio::test]
async fn rules_of_others_are_what_they_were_before() {
    let bucket = Bucket::new().await;
    let [one, other] = [bucket.larder("one/").await, bucket.larder("other/").await];
    let all = bucket.set(&[FOREIGN[0], FOREIGN[1], SIZED]).await;
    // A vendor that loses sizes (Ceph RGW 16) does so before we come.
    let keeps_sizes = all.iter().any(|rule| rule.contains("ObjectSizeGreaterThan"));
    let theirs = if keeps_sizes { all } else { bucket.set(&FOREIGN).await };
    assert_eq!(reconcile(&one, &[5, 23]).await, Reconciled::Written);
    assert_eq!(reconcile(&other, &[5]).await, Reconciled::Written);
    let both = bucket.rules().await;
    assert_eq!(both.len(), theirs.len() + 3, "{both:?}");
    assert!(theirs.iter().all(|rule| both.contains(rule)), "{theirs:?} and {both:?}");
    assert_eq!(reconcile(&one, &[5, 23]).await, Reconciled::Unchanged);
    assert_eq!(reconcile(&other, &[5]).await, Reconciled::Unchanged);
    assert_eq!(bucket.rules().await, both);
    // One of them is given up, and the other is none the wiser.
    assert_eq!(reconcile(&one, &[]).await, Reconciled::Written);
    let left = bucket.rules().await;
    assert_eq!(left.len(), theirs.len() + 1, "{left:?}");
    assert!(left.iter().all(|rule| both.contains(rule)));
    assert_eq!(reconcile(&other, &[]).await, Reconciled::Written);
    assert_eq!(bucket.rules().await, theirs);
}

#[tokio::test]
async fn a_rule_goes_only_when_nothing_is_under_it_any_more() {
    let bucket = Bucket::new().await;
    let store = bucket.larder("root/").await;
    reconcile(&store, &[5, 23]).await;
    put(store.as_ref(), "larder/expiring/23/id/g/k", b"value", Precondition::None).await.unwrap();
    assert_eq!(reconcile(&store, &[]).await, Reconciled::Written);
    let left = bucket.rules().await;
    assert!(left.len() == 1 && left[0].contains("<Prefix>root/larder/expiring/23/</Prefix>"), "{left:?}");
    store.delete("larder/expiring/23/id/g/k", Precondition::None).await.unwrap();
    assert_eq!(reconcile(&store, &[]).await, Reconciled::Written);
    assert!(bucket.rules().await.is_empty());
    assert_eq!(reconcile(&store, &[]).await, Reconciled::Unchanged);
}

#[tokio::test]
async fn in_a_bucket_with_versions_the_rules_remove_old_ones_too() {
    let bucket = Bucket::new().await;
    let store = bucket.larder("").await;
    assert_eq!(reconcile(&store, &[5]).await, Reconciled::Written);
    let enabled = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status>\
        </VersioningConfiguration>";
    let has_versions = bucket.ask("PUT", "versioning", enabled).await.status == 200;
    let expected = if has_versions { Reconciled::Written } else { Reconciled::Unchanged };
    assert_eq!(reconcile(&store, &[5]).await, expected);
    let rules = bucket.rules().await;
    assert_eq!(rules[0].contains("<NoncurrentDays>1</NoncurrentDays>"), has_versions, "{rules:?}");
    assert_eq!(reconcile(&store, &[5]).await, Reconciled::Unchanged);
}

/// The program before a bucket, below a prefix, until it is dropped.
struct Program(Watched);

impl Program {
    fn start(bucket: &str, prefix: &str) -> Self {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_larder"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--s3-bucket", bucket, "--s3-prefix", prefix]);
        // Variables of the test environment are no settings, and the program would complain.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LARDER_")) {
            command.env_remove(name);
        }
        let settings = [
            ("LARDER_S3_ENDPOINT", variable("LARDER_TEST_S3_ENDPOINT")),
            ("LARDER_S3_REGION", variable("LARDER_TEST_S3_REGION")),
            ("LARDER_LEADER", "self".to_owned()),
            ("LARDER_SECRET", "a secret".to_owned()),
            ("LARDER_TOKEN", "a-token".to_owned()),
        ];
        let quiet = std::process::Stdio::null;
        Self(Watched::new(command.envs(settings).stdout(quiet()).stderr(quiet()).spawn().expect("it starts")))
    }

    /// Stops it as an operator does.
    fn stop(mut self) {
        let id = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw).expect("an id");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
        assert!(self.0.wait().expect("it ends").success());
    }
}

#[tokio::test]
async fn programs_that_come_and_go_leave_rules_of_others_as_they_were() {
    let bucket = Bucket::new().await;
    bucket.larder("one/").await;
    let theirs = bucket.set(&FOREIGN).await;
    let standing = async |count: usize| {
        for _ in 0..300 {
            let rules = bucket.rules().await;
            if rules.len() == theirs.len() + count {
                return rules;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("not {count} rules of ours within 30 s: {:?}", bucket.rules().await);
    };
    let one = Program::start(&bucket.name, "one");
    let of_one = standing(6).await;
    let other = Program::start(&bucket.name, "other");
    let of_both = standing(12).await;
    one.stop();
    other.stop();
    assert!(of_one.iter().chain(&theirs).all(|rule| of_both.contains(rule)), "{theirs:?}, {of_one:?} and {of_both:?}");
    assert_eq!(bucket.rules().await, of_both);
    // Another start finds everything as it should be.
    let again = Program::start(&bucket.name, "one");
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    again.stop();
    assert_eq!(bucket.rules().await, of_both);
}
