//! Gateways over an object store without conditional writes: one is the leader, the others forward conditional writes
//! to it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use bytes::Bytes;
use futures_util::future::join_all;
use larder::kv::CacheOptions;
use serde_json::json;

use crate::harness::{Larder, Reply, STORES};

/// Requests that are under way at the same time.
const RACERS: usize = 20;

/// Returns the leader, and a follower of it.
pub(crate) async fn leader_and_another(larder: &Larder) -> (Larder, Larder) {
    let leader = larder.leader().await;
    let other = leader.follower_to(leader.address()).await;
    (leader, other)
}

/// Returns an address on which no server listens.
fn unused_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("it is bound")
}

contract_test!(twenty_that_ask_two_gateways_for_one_name_get_one_store, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let third = leader.follower_to(leader.address()).await;
    for name in ["shop", "cellar", "pantry"] {
        let target = format!("{STORES}?name={name}");
        let gateways = [&leader, &other, &third].into_iter().cycle().take(RACERS);
        let replies = join_all(gateways.map(|gateway| gateway.post(&target).into_future())).await;
        let made = replies.iter().filter(|reply| reply.status == 201).count();
        let mut ids: Vec<String> =
            replies.into_iter().map(|reply| reply.answers_one_of(&[200, 201]).text("id")).collect();
        ids.dedup();
        assert_eq!((ids.len(), made), (1, 1), "{ids:?}");
        for gateway in [&leader, &other, &third] {
            assert_eq!(gateway.get(format!("{STORES}/~{name}")).await.text("id"), ids[0]);
        }
    }
    assert_eq!(other.get(format!("{STORES}?unnamed=1")).await.data()["total"], 3, "losers left stores behind");
});

contract_test!(what_one_gateway_changes_others_see_within_the_bound, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let third = leader.follower_to(leader.address()).await;
    let schema = json!({ "name": "shop", "schema": {
        "actorKeyValueStoreSchemaVersion": 1,
        "title": "Shop",
        "collections": { "texts": { "title": "Texts", "keyPrefix": "text-", "contentTypes": ["text/plain"] } },
    } });
    let store = other.store_with(&schema).await;
    let gateways = [&leader, &other, &third];
    for gateway in gateways {
        let refused = store.behind(gateway).put("/records/text-1").content_type("image/png").body("x").await;
        refused.fails(400, "schema-validation-error");
    }
    other.put(store.path("")).json(&json!({ "name": "cellar", "title": "Cellar" })).await.answers(200);
    other.advance(CacheOptions::SHARED_STALENESS);
    for gateway in gateways {
        assert_eq!(gateway.get(format!("{STORES}/~cellar")).await.text("title"), "Cellar");
        gateway.get(format!("{STORES}/~shop")).await.answers(404);
    }
    other.delete(store.path("")).await.answers(204);
    other.advance(CacheOptions::SHARED_STALENESS);
    for gateway in gateways {
        gateway.get(store.path("")).await.answers(404);
        store.behind(gateway).put("/records/a").body("x").await.answers(404);
        assert_eq!(gateway.get(STORES).await.data()["total"], 0);
    }
});

contract_test!(who_changes_a_store_sees_it_changed_at_once_through_the_same_gateway, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let store = other.named_store("shop").await;
    assert_eq!(other.get(STORES).await.data()["total"], 1);
    assert_eq!(other.get(format!("{STORES}/~shop")).await.text("id"), store.id);
    store.put("").json(&json!({ "title": "Shop", "name": "cellar" })).await.answers(200);
    assert_eq!(store.object().await["title"], "Shop");
    other.get(format!("{STORES}/~shop")).await.answers(404);
    assert_eq!(other.get(format!("{STORES}/~cellar")).await.text("id"), store.id);

    let unnamed = other.new_store().await;
    assert_eq!(other.get(format!("{STORES}?unnamed=1")).await.data()["total"], 2);
    unnamed.delete("").await.answers(204);
    unnamed.get("").await.answers(404);
    assert_eq!(other.get(format!("{STORES}?unnamed=1")).await.data()["total"], 1);

    other.delete(format!("{STORES}/~cellar")).await.answers(204);
    store.get("").await.answers(404);
    other.get(format!("{STORES}/~cellar")).await.answers(404);
    drop(leader);
});

contract_test!(a_name_that_changed_hands_unseen_is_looked_up_afresh, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let (shop, cellar) = (other.named_store("shop").await, other.named_store("cellar").await);
    for (name, store) in [("shop", &shop), ("cellar", &cellar)] {
        assert_eq!(other.get(format!("{STORES}/~{name}")).await.text("id"), store.id);
    }
    // Behind the back of the other gateway, which remembers what was.
    cellar.behind(&leader).put("").json(&json!({ "name": "pantry" })).await.answers(200);
    shop.put("").json(&json!({ "name": "cellar" })).await.answers(200);
    assert_eq!(other.get(format!("{STORES}/~cellar")).await.text("id"), shop.id);

    shop.behind(&leader).delete("").await.answers(204);
    let again = other.named_store("cellar").await;
    assert_ne!(again.id, shop.id);
    assert_eq!(other.get(format!("{STORES}/~cellar")).await.text("id"), again.id);
});

contract_test!(without_the_leader_records_go_on_and_changes_are_to_be_tried_again, async |larder: Larder| {
    let (leader, _) = leader_and_another(&larder).await;
    let store = leader.named_store("shop").await;
    let other = leader.follower_to(unused_address()).await;
    let store = store.behind(&other);
    let away = |reply: Reply| {
        reply.fails(503, "service-unavailable");
        let seconds: u64 = reply.expect_field("retry-after").parse().expect("seconds");
        assert!(seconds > 0);
    };
    away(other.post(STORES).await);
    away(other.post(format!("{STORES}?name=shop")).await);
    away(store.put("").json(&json!({ "title": "Shop" })).await);
    away(store.delete("").await);
    away(store.put("/records/a").field("If-None-Match", "*").body("x").await);
    away(store.delete("/records/a").field("If-Match", "*").await);

    store.put_text("a", "flour").await;
    store.record("a").await.holds(b"flour");
    assert_eq!(store.keys().await, ["a"]);
    store.delete("/records/a").await.answers(204);
    assert_eq!(other.get(STORES).await.data()["total"], 1);
    assert_eq!(other.get(format!("{STORES}/~shop")).await.text("id"), store.id);
    for _ in 0..2 {
        assert!(other.tell_use().await.is_err(), "there is usage to report, and no leader");
    }
});

contract_test!(of_twenty_conditional_writes_through_two_gateways_one_wins, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let store = other.new_store().await;
    let mut etag = None;
    for round in 0..3 {
        let writes = (0..RACERS).map(|racer| {
            let put = store.behind(if racer % 2 == 0 { &leader } else { &other }).put("/records/a");
            let put = match &etag {
                None => put.field("If-None-Match", "*"),
                Some(etag) => put.field("If-Match", etag),
            };
            put.content_type("text/plain").body(format!("{round} by {racer}")).into_future()
        });
        let replies = join_all(writes).await;
        let winners: Vec<usize> = (0..RACERS).filter(|racer| replies[*racer].status == 201).collect();
        assert_eq!(winners.len(), 1, "so many wrote: {winners:?}");
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            reply.fails(412, "precondition-failed");
        }
        let record = store.record("a").await.holds(format!("{round} by {}", winners[0]).as_bytes());
        etag = Some(record.expect_field("etag").to_owned());
        assert_eq!(etag.as_deref(), Some(replies[winners[0]].expect_field("etag")));
    }
});

contract_test!(a_conditional_write_is_passed_on_whatever_its_size_and_framing, async |larder: Larder| {
    let (_leader, other) = leader_and_another(&larder).await;
    let store = other.new_store().await;
    let chunks: Vec<Bytes> = (0..40_u8).map(|letter| Bytes::from(vec![letter; 100_000])).collect();
    let put = |key: &str| store.put(&format!("/records/{key}")).field("If-None-Match", "*");
    put("chunked").chunked(chunks.clone()).await.answers(201);
    put("sized").body(chunks.concat()).await.answers(201);
    put("empty").body("").await.answers(201);
    put("sized").body(chunks.concat()).await.fails(412, "precondition-failed");
    for key in ["chunked", "sized"] {
        store.record(key).await.holds(&chunks.concat());
    }
    store.record("empty").await.holds(b"");
    store.delete("/records/sized").field("If-Match", "\"another\"").await.fails(412, "precondition-failed");
    let etag = store.record("sized").await.expect_field("etag").to_owned();
    store.delete("/records/sized").field("If-Match", etag).await.answers(204);
    store.get("/records/sized").await.answers(404);
});

contract_test!(what_another_gateway_counted_is_written_down_by_the_leader, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let (store, gone) = (other.new_store().await, other.new_store().await);
    store.put_text("a", "flour").await;
    store.record("a").await;
    store.record("a").await;
    gone.put_text("a", "flour").await;
    gone.delete("").await.answers(204);
    store.behind(&leader).record("a").await;
    assert_eq!(other.tell_use().await.expect("the leader is told"), 2);
    assert_eq!(other.tell_use().await.expect("there is nothing to tell"), 0);
    assert_eq!(leader.write_use_down().await, 2);
    assert_eq!(leader.write_use_down().await, 0, "what belongs to no store is dropped");
    other.advance(CacheOptions::SHARED_STALENESS);
    for gateway in [&leader, &other] {
        let stats = store.behind(gateway).object().await["stats"].take();
        assert_eq!(stats["writeCount"], 1, "{stats}");
        assert_eq!(stats["readCount"], 3, "{stats}");
    }
});

contract_test!(counters_that_make_no_sense_are_refused, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let path = "/larder/v1/activity";
    for body in [json!({}), json!({ "stores": 1 }), json!({ "stores": [{ "id": "x" }] })] {
        leader.post(path).json(&body).await.fails(400, "invalid-input");
    }
    leader.post(path).json(&json!({ "stores": [] })).await.answers(204);
    other.post(path).json(&json!({ "stores": [] })).await.answers(204);
    let usage = json!({ "id": "0123456789abcdefg", "modifiedAt": null, "accessedAt": "2026-01-01T00:00:00.000Z", "stats":
        { "readCount": u64::MAX, "writeCount": u64::MAX, "deleteCount": 0, "listCount": 0 } });
    leader.post(path).json(&json!({ "stores": [usage, usage] })).await.answers(204);
    assert_eq!(leader.write_use_down().await, 1);
});

contract_test!(no_caller_gets_more_through_a_follower_than_from_the_leader, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let store = leader.new_store().await;
    store.put_text("a", "flour").await;
    for token in [None, Some(""), Some("wrong"), Some("Basic x")] {
        for (method, path) in [
            ("POST", STORES.to_owned()),
            ("POST", format!("{STORES}?name=shop")),
            ("PUT", store.path("")),
            ("DELETE", store.path("")),
            ("PUT", store.path("/records/a")),
            ("DELETE", store.path("/records/a")),
            ("POST", "/larder/v1/activity".to_owned()),
            ("POST", "/larder/v1/expiry-extensions".to_owned()),
            ("DELETE", format!("{STORES}/0123456789abcdefg")),
        ] {
            let ask = |gateway: &Larder| {
                let request = gateway.request(method, &path).field("If-Match", "*").anonymous();
                match token {
                    None => request,
                    Some(token) => request.token(token),
                }
            };
            let (directly, passed_on) = (ask(&leader).await, ask(&other).await);
            assert!([401, 403].contains(&directly.status), "{directly}");
            assert_eq!((passed_on.status, &passed_on.body), (directly.status, &directly.body), "{method} {path}");
        }
    }
    store.record("a").await.holds(b"flour");
    assert_eq!(leader.get(format!("{STORES}?unnamed=1")).await.data()["total"], 1);
});

contract_test!(fields_cannot_be_smuggled_through_a_gateway, async |larder: Larder| {
    let (_leader, other) = leader_and_another(&larder).await;
    let store = other.new_store().await;
    store.put_text("a", "flour").await;
    for named in ["if-match", "keep-alive, If-Match", "authorization", "Content-Length"] {
        let write = store.put("/records/a").field("Connection", named).field("If-Match", "\"another\"").body("x");
        write.await.fails(400, "invalid-request");
    }
    let marked = store.put("/records/a").field("Larder-Forwarded", "1").field("If-Match", "*").body("x");
    marked.await.fails(508, "forwarding-loop");
    other.post(STORES).field("larder-forwarded", "").await.fails(508, "forwarding-loop");
    store.record("a").await.holds(b"flour");
    // Offers of clients that prefer another protocol.
    let upgrade = store.put("/records/a").field("Connection", "Upgrade, HTTP2-Settings").field("Upgrade", "h2c");
    upgrade.field("HTTP2-Settings", "AAMAAABkAAQAAP__").field("If-Match", "*").body("rice").await.answers(201);
    store.record("a").await.holds(b"rice");
});

contract_test!(a_gateway_that_is_taken_for_the_leader_says_that_it_is_not, async |larder: Larder| {
    let (_leader, other) = leader_and_another(&larder).await;
    let lost = other.follower_to(other.address()).await;
    let message = lost.post(STORES).await.fails(508, "forwarding-loop");
    assert!(message.contains("LARDER_LEADER"), "{message}");
    lost.get(STORES).await.answers(200);
});

contract_test!(a_request_has_one_id_on_all_its_way, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let id = |reply: &Reply| reply.expect_field("x-request-id").to_owned();
    let passed_on =
        leader.post(STORES).field("Larder-Forwarded", "1").field("X-Request-Id", "abc-1").await.answers(201);
    assert_eq!(id(&passed_on), "abc-1");
    for given in ["", "a b", "a\"b", &"x".repeat(65)] {
        let reply = leader.post(STORES).field("Larder-Forwarded", "1").field("X-Request-Id", given).await.answers(201);
        assert_ne!(id(&reply), given);
    }
    for gateway in [&leader, &other] {
        let reply = gateway.post(STORES).field("X-Request-Id", "abc-2").await.answers(201);
        assert_ne!(id(&reply), "abc-2", "clients do not name requests");
    }
});

contract_test!(an_answer_of_the_leader_is_handed_back_as_it_is, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let fields = |reply: &Reply| {
        let mut names: Vec<String> = reply.fields.iter().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    };
    for (method, path, body) in [
        ("POST", format!("{STORES}?name=shop"), ""),
        ("POST", format!("{STORES}?name=shop"), ""),
        ("POST", format!("{STORES}?name=a%20b"), ""),
        ("POST", STORES.to_owned(), "{\"name\": 1}"),
        ("DELETE", format!("{STORES}/~shop"), ""),
        ("DELETE", format!("{STORES}/~shop"), ""),
    ] {
        let ask =
            async |gateway: &Larder| gateway.request(method, &path).content_type("application/json").body(body).await;
        let passed_on = ask(&other).await;
        if passed_on.status < 300 {
            continue;
        }
        let directly = ask(&leader).await;
        assert_eq!((passed_on.status, &passed_on.body), (directly.status, &directly.body), "{method} {path}");
        assert_eq!(fields(&passed_on), fields(&directly), "{method} {path}");
    }
    let by_query = other.get(format!("{STORES}?method=POST&name=by-query")).await.answers(201);
    assert!(by_query.expect_field("location").ends_with(&by_query.text("id")));
});
