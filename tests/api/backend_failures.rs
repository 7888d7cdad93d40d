//! Responses when the object store fails: an error that says when to retry, and nothing of the cause; and writes when the
//! disk is full.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use larder::kv::CatalogOptions;
use larder::storage::embedded::{EmbeddedOptions, EmbeddedStore, INLINE_LIMIT};
use larder::storage::{Operation, RejectedFor};
use larder_test_kit::fault_injection::{Call, Fault, FaultInjector, Refusal};

use crate::harness::{Larder, Reply, STORES, ShiftedClock, Store, gzip};

/// Cause of the injected faults.
const CAUSE: &str = "a fault was asked for";

/// The object keys of records contain this.
const RECORDS: &str = "/k";

contract_test!(a_backend_that_is_away_is_503_with_retry_after, async |larder: Larder| {
    for refusal in [Refusal::Unavailable, Refusal::Throttled, Refusal::Timeout] {
        let (faulty, store) = disturbed(&larder).await;
        let fail = |operation| faulty.inject(call(operation, RECORDS), Fault::Refuse(refusal));
        fail(Operation::Put);
        assert_unavailable(&store.put("/records/a").body("new").await);
        fail(Operation::Get);
        assert_unavailable(&store.get("/records/a").await);
        fail(Operation::Delete);
        assert_unavailable(&store.delete("/records/a").await);
        fail(Operation::Head);
        let head = store.head("/records/a").await.answers(503).holds(b"");
        assert_retry_after(&head);
        faulty.inject(call(Operation::List, ""), Fault::Refuse(refusal));
        assert_unavailable(&store.get("/keys").await);
        faulty.inject(call(Operation::List, ""), Fault::Refuse(refusal));
        assert_unavailable(&store.get("/records").await);
        assert_eq!(faulty.injected(), 6, "a request went on without the call that was to fail ({refusal:?})");
        store.record("a").await.holds(b"old");
    }
});

contract_test!(what_the_backend_refuses_for_good_is_refused_for_good, async |larder: Larder| {
    for (reason, status, kind, what) in [
        (RejectedFor::Size, 413, "record-too-large", "takes no body of this size"),
        (RejectedFor::Coding, 415, "unsupported-content-encoding", "decodes what is stored in it"),
        (RejectedFor::Key, 400, "unsupported-by-backend", "takes no address of this length"),
        (RejectedFor::Attributes, 400, "unsupported-by-backend", "takes no headers of this size"),
        (RejectedFor::Request, 400, "unsupported-by-backend", "refuses the request"),
    ] {
        let (faulty, store) = disturbed(&larder).await;
        faulty.inject(call(Operation::Put, RECORDS), Fault::Refuse(Refusal::Rejected(reason)));
        let reply = store.put("/records/a").body("new").await;
        let message = reply.fails(status, kind);
        assert!(message.contains("the object store of this server, or a proxy before it") && message.contains(what));
        assert!(!message.contains(CAUSE), "{message}");
        store.record("a").await.holds(b"old");
    }
});

contract_test!(an_outage_never_looks_like_absence, async |larder: Larder| {
    larder.named_store("shop").await.put_text("a", "old").await;
    let (faulty, gateway) = faulty_gateway(&larder).await;
    let requests = [
        ("GET", format!("{STORES}/~shop")),
        ("GET", format!("{STORES}/~shop/records/a")),
        ("DELETE", format!("{STORES}/~shop")),
        ("PUT", format!("{STORES}/~shop/records/b")),
        ("GET", STORES.to_owned()),
        ("POST", format!("{STORES}?name=shop")),
    ];
    for (method, target) in requests {
        faulty.inject(Call::default(), Fault::Refuse(Refusal::Unavailable));
        let reply = gateway.request(method, &target).await;
        faulty.clear_faults();
        assert_unavailable(&reply);
    }
    gateway.get(format!("{STORES}/~shop/records/a")).await.answers(200).holds(b"old");
});

contract_test!(a_store_is_whole_or_not_there_whichever_call_of_its_making_fails, async |larder: Larder| {
    let (faulty, gateway) = faulty_gateway(&larder).await;
    for fault in [Fault::Refuse(Refusal::Unavailable), Fault::LoseResponse] {
        for skip in 0..8 {
            let name = format!("shop-{skip}-{}", if fault == Fault::LoseResponse { "lost" } else { "refused" });
            faulty.inject(Call { skip, ..Call::default() }, fault.clone());
            let reply = gateway.post(format!("{STORES}?name={name}")).await;
            faulty.clear_faults();
            if reply.status != 201 {
                assert_unavailable(&reply);
            }
            let again = gateway.post(format!("{STORES}?name={name}")).await.answers_one_of(&[200, 201]);
            let by_name = gateway.get(format!("{STORES}/~{name}")).await.answers(200);
            assert_eq!(by_name.text("id"), again.text("id"), "{by_name} after {reply}");
            let listed = gateway.get(format!("{STORES}?unnamed=1&search={name}")).await.answers(200);
            assert_eq!(listed.data()["total"], 1, "{listed} after {reply}");
        }
    }
});

contract_test!(a_gateway_lists_what_another_would_whichever_call_of_a_making_fails, async |larder: Larder| {
    let (faulty, gateway) = faulty_gateway(&larder).await;
    let list = format!("{STORES}?unnamed=1");
    gateway.get(&list).await.answers(200);
    for fault in [Fault::Refuse(Refusal::Unavailable), Fault::LoseResponse] {
        for skip in 0..3 {
            faulty.inject(Call { skip, ..Call::default() }, fault.clone());
            let reply = gateway.post(STORES).await.answers_one_of(&[201, 503]);
            faulty.clear_faults();
            let here = gateway.get(&list).await.answers(200);
            let there = larder.restarted().await.get(&list).await.answers(200);
            assert_eq!(
                here.texts_of_items("id"),
                there.texts_of_items("id"),
                "{here} after {reply} ({fault:?}, {skip})"
            );
        }
    }
});

contract_test!(a_write_whose_answer_is_lost_is_503_and_can_be_repeated, async |larder: Larder| {
    let (faulty, store) = disturbed(&larder).await;
    faulty.inject(call(Operation::Put, RECORDS), Fault::LoseResponse);
    assert_unavailable(&store.put("/records/a").body("new").await);
    store.put("/records/a").body("new").await.answers(201);
    store.record("a").await.holds(b"new");
});

contract_test!(a_full_backend_is_reported_and_the_old_value_stays, async |larder: Larder| {
    let (faulty, store) = disturbed(&larder).await;
    faulty.inject(call(Operation::Put, RECORDS), Fault::Refuse(Refusal::Full));
    let reply = store.put("/records/a").body("new").await.answers_one_of(&[503, 507]);
    reply.fails_with_any();
    assert_discreet(&reply);
    store.record("a").await.holds(b"old");
});

contract_test!(a_read_that_breaks_off_never_looks_whole, async |larder: Larder| {
    let (faulty, store) = disturbed(&larder).await;
    let large = vec![b'x'; 500_000];
    store.put_bytes("plain", "text/plain", large.clone()).await;
    store.put_coded("coded", "gzip", gzip(&large).await).await;
    for key in ["plain", "coded"] {
        for after in [0, 100, 400] {
            faulty.inject(call(Operation::Get, RECORDS), Fault::CutBody { after });
            let mut connection = store.larder().connect().await;
            let target = store.path(&format!("/records/{key}"));
            let request =
                format!("GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", crate::harness::TOKEN);
            connection.write(request.as_bytes()).await.expect("the request is taken");
            if let Ok(reply) = connection.read_reply(&format!("GET {target} cut off at {after}"), "GET").await {
                assert!(reply.status >= 500, "{reply} looks whole");
                reply.fails_with_any();
                assert_discreet(&reply);
            }
        }
    }
    store.record("plain").await.holds(&large);
});

contract_test!(a_write_whose_body_breaks_off_behind_the_gateway_leaves_the_old_value, async |larder: Larder| {
    let (faulty, store) = disturbed(&larder).await;
    for after in [0, 1, 100_000] {
        faulty.inject(call(Operation::Put, RECORDS), Fault::CutBody { after });
        let reply = store.put("/records/a").body(vec![b'n'; 300_000]).await;
        reply.fails_with_any();
        store.record("a").await.holds(b"old");
    }
});

/// Returns a record `a` that holds `old`, behind a gateway that knows its store, over an object store that can be
/// disturbed.
async fn disturbed(larder: &Larder) -> (Arc<FaultInjector>, Store) {
    let (faulty, gateway) = faulty_gateway(larder).await;
    let store = gateway.new_store().await;
    store.put_text("a", "old").await;
    (faulty, store)
}

async fn faulty_gateway(larder: &Larder) -> (Arc<FaultInjector>, Larder) {
    let faulty: Arc<FaultInjector> = Arc::new(FaultInjector::new(larder.objects(), larder.clock()));
    let gateway = larder.restarted_over(faulty.clone()).await;
    (faulty, gateway)
}

fn call(operation: Operation, key_contains: &str) -> Call {
    Call { operation: Some(operation), key_contains: key_contains.to_owned(), skip: 0 }
}

#[track_caller]
fn assert_unavailable(reply: &Reply) {
    reply.fails_with(503);
    assert_retry_after(reply);
    assert_discreet(reply);
}

#[track_caller]
fn assert_retry_after(reply: &Reply) {
    let seconds = reply.expect_field("retry-after");
    assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{reply}: Retry-After is {seconds:?}");
}

#[track_caller]
fn assert_discreet(reply: &Reply) {
    let body = String::from_utf8_lossy(&reply.body);
    for word in [CAUSE, "larder/", "larder_", "thread", "panicked"] {
        assert!(!body.contains(word), "{reply} tells of {word:?}");
    }
    let id = reply.expect_field("x-request-id");
    assert!(body.contains(id), "{reply} does not carry the request's id {id}");
}

const MIB: u64 = 1024 * 1024;

/// Records in the index and in files of their own: 16 MiB each.
const SMALL: (usize, usize) = (1024, 16 * 1024);
const LARGE: (usize, usize) = (16, 1024 * 1024);

/// Longer than an unnamed store lives, and than its records are kept for a mistake.
const LONG: Duration = Duration::from_hours(8 * 24);

async fn fill(store: &Store) {
    for (name, (count, bytes)) in [("small", SMALL), ("large", LARGE)] {
        let put = async |at| store.put_bytes(&format!("{name}-{at}"), "text/plain", vec![b'.'; bytes]).await;
        stream::iter(0..count).map(put).buffer_unordered(64).for_each(|_| async {}).await;
    }
}

/// Returns the bytes of the index without its log, and the number of files beside it.
fn taken(folder: &Path) -> (u64, usize) {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries(&folder.join("blobs")).map(|inner| entries(&inner).count()).sum();
    (fs::metadata(folder.join("index.sqlite")).expect("there is an index").len(), files)
}

/// Waits until something holds that comes about behind the answers.
async fn eventually(what: &str, larder: &Larder, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        larder.sleep(Duration::from_millis(20)).await;
    }
    panic!("still not so after 20 s: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_expired_store_took_is_given_back_to_the_disk() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let clock = Arc::new(ShiftedClock::default());
    let objects = EmbeddedStore::open(&EmbeddedOptions::new(folder.path()), clock.clone()).expect("the folder opens");
    let objects = Arc::new(objects);
    let larder = Larder::start(objects.clone(), clock).await;
    let kept = larder.named_store("shop").await;
    kept.put_bytes("large", "text/plain", vec![b'x'; 2 * INLINE_LIMIT]).await;
    let passing = larder.new_store().await;
    fill(&passing).await;
    let is_full = || taken(folder.path()).0 > 8 * MIB && taken(folder.path()).1 == LARGE.0 + 1;
    eventually("the records stand in the folder", &larder, is_full).await;

    larder.advance(LONG);
    larder.reconcile_stores().await;
    larder.advance(CatalogOptions::EXPIRY_CONFIRMATION);
    larder.reconcile_stores().await;
    // No request comes that could have it done on the side.
    let is_empty = || taken(folder.path()).0 < 6 * MIB && taken(folder.path()).1 == 1;
    eventually("the space of the records has come back", &larder, is_empty).await;
    kept.record("large").await.answers(200).holds(&vec![b'x'; 2 * INLINE_LIMIT]);
    let listed = larder.get(format!("{STORES}?unnamed=1")).await;
    assert_eq!(listed.texts_of_items("id"), [kept.id.as_str()]);
    objects.close().await;
}
