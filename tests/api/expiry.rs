//! Expiry of stores: unnamed ones live for their retention after the last change, named ones for ever.

use std::time::Duration;

use bytes::Bytes;
use larder::clock::Timestamp;
use larder::kv::CatalogOptions;
use larder::storage::{Attributes, ByteStream, GetOptions, Precondition, PutOptions};
use serde_json::{Value, json};

use crate::harness::{Larder, STORES, Store};
use crate::leader::leader_and_another;

const DAY: Duration = Duration::from_hours(24);

/// The usual retention, and how much later at most a store goes.
const WEEK: Duration = Duration::from_hours(7 * 24);
const STEP: Duration = Duration::from_mins(1);

/// Asks for everything that there is below a store's path, in every way; all of it must be absent.
async fn is_gone(store: &Store) {
    let larder = store.larder();
    for (method, rest) in [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("GET", "/keys"),
        ("GET", "/records"),
        ("GET", "/records/a"),
        ("PUT", "/records/a"),
        ("POST", "/records/a"),
        ("DELETE", "/records/a"),
        ("GET", "/records/a?signature=x"),
    ] {
        let request = larder.request(method, store.path(rest));
        let reply = if method.starts_with('P') { request.json(&json!({})).await } else { request.await };
        assert_eq!(reply.status, 404, "{method} {rest}: {reply}");
        assert_eq!(reply.fails(404, "record-not-found"), "Key-value Store was not found", "{method} {rest}");
    }
    assert_eq!(store.head("/records/a").await.status, 404);
    let listed = larder.get(format!("{STORES}?unnamed=1")).await;
    assert!(!listed.texts_of_items("id").contains(&store.id), "{listed}");
}

/// When a store says that it expires.
async fn end(store: &Store) -> Timestamp {
    store.object().await["expiresAt"].as_str().expect("it expires").parse().expect("a date")
}

contract_test!(case_199_an_unnamed_store_is_gone_everywhere_once_its_time_is_over, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "flour").await;
    let (ends, total) = (end(&store).await, larder.get(format!("{STORES}?unnamed=1")).await.data()["total"].clone());
    assert_eq!(total, 1);
    larder.advance(ends.minus(STEP).since(larder.clock().now()));
    store.record("a").await.answers(200).holds(b"flour");
    larder.advance(STEP);
    is_gone(&store).await;
    assert_eq!(larder.get(format!("{STORES}?unnamed=1")).await.data()["total"], 0);
    is_gone(&store.behind(&larder.restarted().await)).await;
});

contract_test!(case_200_a_named_store_lives_for_ever, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "flour").await;
    assert!(store.object().await["expiresAt"].is_null());
    larder.advance(DAY * 4000);
    larder.reconcile_stores().await;
    store.record("a").await.answers(200).holds(b"flour");
    assert_eq!(larder.get(STORES).await.texts_of_items("id"), [store.id.as_str()]);
});

contract_test!(case_201_a_store_that_is_named_in_its_last_second_lives, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "flour").await;
    let ends = end(&store).await;
    larder.advance(ends.minus(Duration::from_secs(5)).since(larder.clock().now()));
    store.put("").json(&json!({ "name": "shop" })).await.answers(200);
    larder.advance(DAY * 4000);
    larder.reconcile_stores().await;
    store.record("a").await.answers(200).holds(b"flour");
    assert!(store.object().await["expiresAt"].is_null());
});

contract_test!(a_store_lives_its_retention_after_each_change_and_no_longer_for_being_read, async |larder: Larder| {
    let store = larder.new_store().await;
    let began = larder.clock().now();
    for day in 1..=20 {
        larder.advance(DAY);
        match day % 3 {
            0 => store.put_text("a", "flour").await,
            1 => store.delete("/records/b").await.answers(204),
            _ => store.put("").json(&json!({ "title": format!("day {day}") })).await.answers(200),
        };
        let life = end(&store).await.since(larder.clock().now());
        assert!((WEEK..=WEEK + STEP).contains(&life), "day {day}: {life:?}");
    }
    assert!(larder.clock().now().since(began) >= WEEK * 2);
    store.record("a").await.answers(200).holds(b"flour");
    let ends = end(&store).await;
    for _ in 1..=6 {
        larder.advance(DAY);
        store.record("a").await.answers(200);
        store.object().await;
        store.keys().await;
    }
    assert_eq!(end(&store).await, ends);
    larder.advance(DAY + STEP);
    is_gone(&store).await;
});

contract_test!(a_store_in_use_costs_one_write_of_its_document_a_step, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "flour").await;
    let calls = larder.calls(async || store.put_text("a", "salt").await).await;
    assert_eq!(calls.put, 1, "within a step: {calls:?}");
    larder.advance(STEP * 2);
    let calls = larder.calls(async || store.put_text("a", "salt").await).await;
    assert_eq!(calls.put, 2, "after it: {calls:?}");
    let calls = larder.calls(async || store.put_text("a", "salt").await).await;
    assert_eq!(calls.put, 1, "and in the next: {calls:?}");
});

contract_test!(what_has_expired_is_swept_after_a_while_and_leaves_nothing_behind, async |larder: Larder| {
    let (kept, store) = (larder.named_store("shop").await, larder.new_store().await);
    for key in ["a", "b", "c"] {
        store.put_text(key, "flour").await;
        kept.put_text(key, "flour").await;
    }
    let ends = end(&store).await;
    larder.advance(ends.since(larder.clock().now()) + STEP);
    larder.reconcile_stores().await;
    assert_eq!(larder.objects_of(&store).await.len(), 4, "there is an hour to find out about a mistake");
    larder.advance(Duration::from_hours(1));
    larder.reconcile_stores().await;
    assert_eq!(larder.objects_of(&store).await.len(), 4, "it is to be found expired twice");
    larder.advance(CatalogOptions::EXPIRY_CONFIRMATION);
    larder.reconcile_stores().await;
    assert_eq!(larder.objects_of(&store).await.len(), 1, "its tombstone alone is left");
    larder.advance(Duration::from_hours(2));
    larder.reconcile_stores().await;
    assert_eq!(larder.objects_of(&store).await, Vec::<String>::new());
    assert_eq!(kept.keys().await, ["a", "b", "c"]);
});

contract_test!(the_retention_is_what_was_asked_for, async |larder: Larder| {
    for days in [json!(0.5), json!(1), json!(30), json!(366)] {
        let created = larder.post(STORES).json(&json!({ "retentionDays": days })).await.answers(201);
        assert_eq!(created.data()["retentionDays"].as_f64(), days.as_f64(), "{created}");
        let ends: Timestamp = created.text("expiresAt").parse().expect("a date");
        let wanted = DAY.mul_f64(days.as_f64().expect("a number"));
        let life = ends.since(larder.clock().now()) + Duration::from_secs(20);
        assert!((wanted..=wanted + STEP + Duration::from_secs(40)).contains(&life), "{days}: {life:?}");
    }
    let store = larder.new_store().await;
    assert_eq!(store.object().await["retentionDays"].as_f64(), Some(7.0));
    let shorter = store.put("").json(&json!({ "retentionDays": 0.5 })).await.answers(200);
    assert_eq!(shorter.data()["retentionDays"].as_f64(), Some(0.5));
    larder.advance(DAY);
    is_gone(&store).await;
    let longer = larder.new_store().await;
    longer.put_text("a", "flour").await;
    longer.put("").json(&json!({ "retentionDays": 100 })).await.answers(200);
    larder.advance(DAY * 99);
    longer.record("a").await.answers(200).holds(b"flour");
    let usual = longer.put("").json(&json!({ "retentionDays": null })).await.answers(200);
    assert_eq!(usual.data()["retentionDays"].as_f64(), Some(7.0));
});

contract_test!(a_retention_that_makes_no_sense_is_refused_and_changes_nothing, async |larder: Larder| {
    let store = larder.new_store().await;
    let settings = async || {
        let object = store.object().await;
        ["name", "title", "retentionDays", "expiresAt", "modifiedAt"].map(|member| object[member].clone())
    };
    let before = settings().await;
    for days in [json!(0), json!(-1), json!(367), json!("7"), json!(true), json!([7]), json!(1e300), json!(0.000_001)] {
        let body = json!({ "retentionDays": days, "title": "x", "name": "shop" });
        assert!(store.put("").json(&body).await.fails(400, "invalid-value").contains("retentionDays"), "{days}");
        larder.post(STORES).json(&json!({ "retentionDays": days })).await.fails(400, "invalid-value");
    }
    assert_eq!(settings().await, before);
    assert_eq!(larder.get(format!("{STORES}?unnamed=1")).await.data()["total"], 1);
});

contract_test!(a_named_store_keeps_its_retention_for_when_it_loses_its_name, async |larder: Larder| {
    let body = json!({ "name": "shop", "retentionDays": 2 });
    let store = larder.post(STORES).json(&body).await.answers(201);
    assert!(store.data()["expiresAt"].is_null(), "{store}");
    assert_eq!(store.data()["retentionDays"].as_f64(), Some(2.0));
    let store = Store::new(&larder, store.text("id"));
    larder.advance(DAY * 30);
    store.put_text("a", "flour").await;
    store.put("").json(&json!({ "name": null })).await.answers(200);
    larder.advance(DAY);
    store.record("a").await.answers(200);
    larder.advance(DAY + STEP * 2);
    is_gone(&store).await;
});

contract_test!(a_store_lives_as_long_when_it_is_changed_through_a_follower, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let store = other.new_store().await;
    for _ in 1..=10 {
        other.advance(DAY * 5);
        store.put_text("a", "flour").await;
        let life = end(&store).await.since(other.clock().now());
        assert!((WEEK..=WEEK + STEP).contains(&life), "{life:?}");
    }
    store.behind(&leader).record("a").await.answers(200).holds(b"flour");
    let calls = other.calls(async || store.put_text("a", "salt").await).await;
    assert_eq!(calls.put, 1, "{calls:?}");
    other.advance(WEEK + STEP * 2);
    for gateway in [&leader, &other] {
        assert_eq!(store.behind(gateway).get("/records/a").await.status, 404);
    }
    assert_eq!(store.put("/records/a").body("x").await.status, 404);
});

contract_test!(a_store_whose_records_move_says_how_far_that_is, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "flour").await;
    assert!(store.object().await.get("move").is_none());
    let key = format!("larder/stores/{}", store.id);
    let object = larder.objects().get(&key, GetOptions::default()).await.expect("it is there");
    let text = object.body.into_bytes(1 << 20).await.expect("it is small");
    let mut document: Value = serde_json::from_slice(&text).expect("it is JSON");
    let (from, beat) = (document["location"].clone(), larder.clock().now());
    let to = json!({ "lifecycleDays": null, "generation": "7", "createdAt": beat });
    document["phase"] =
        json!({ "name": "copying", "attempt": 7, "from": from, "to": to, "heartbeatAt": beat, "copiedRecords": 42 });
    let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
    let options = PutOptions { attributes, precondition: Precondition::None };
    larder.objects().put(&key, ByteStream::from(Bytes::from(document.to_string())), options).await.expect("a write");
    let object = store.behind(&larder.restarted().await).object().await;
    assert_eq!(object["move"], json!({ "phase": "COPYING", "recordsCopied": 42 }));
});

const CLOCK: &str = "/larder/v1/clock";
const ACCEPT: &str = "/larder/v1/clock/accept";

contract_test!(
    an_admin_sees_that_deletions_are_suspended_and_ends_it_by_confirming_the_time,
    async |larder: Larder| {
        let trusted = larder.get(CLOCK).await.answers(200);
        assert!(trusted.data()["deletionSuspended"].is_null());
        larder.set_wrong_by_days(8);
        let suspended = larder.get(CLOCK).await.answers(200);
        let reason = suspended.data()["deletionSuspended"]["reason"].as_str().expect("a reason").to_owned();
        assert!(reason.contains("jumped forward by 691"), "{reason}");
        larder.set_wrong_by_days(0);
        larder.advance(Duration::from_hours(23));
        assert!(!larder.get(CLOCK).await.answers(200).data()["deletionSuspended"].is_null());
        let accepted = larder.post(ACCEPT).await.answers(200);
        assert!(accepted.data()["deletionSuspended"].is_null());
        assert!(larder.get(CLOCK).await.answers(200).data()["deletionSuspended"].is_null());
        larder.request("DELETE", CLOCK).await.fails(405, "method-not-allowed");
        larder.get(ACCEPT).await.fails(405, "method-not-allowed");
    }
);
