//! Usage of stores and runs: object calls, and contents as the background job counts them.

use std::time::Duration;

use larder::telemetry::Prices;
use serde_json::{Value, json};

use crate::harness::{Calls, Larder, STORES, Store, TOKEN};

const USAGE: &str = "/larder/v1/usage";

async fn of_store(larder: &Larder, store: &Store) -> Value {
    larder.get(format!("{USAGE}?store={}", store.id)).await.answers(200).data()
}

fn calls(usage: &Value) -> [u64; 3] {
    ["classA", "classB", "free"].map(|class| usage["calls"][class].as_u64().expect("a count"))
}

contract_test!(a_store_pays_for_what_is_done_with_it, async |larder: Larder| {
    let (store, other) = (larder.new_store().await, larder.new_store().await);
    let before = of_store(&larder, &store).await;
    store.put_text("a", "flour").await;
    store.record("a").await.answers(200);
    store.get("/records/absent").await.answers(404);
    store.get("/keys").await.answers(200);
    store.delete("/records/a").await.answers(204);
    let after = of_store(&larder, &store).await;
    let [class_a, class_b, free] = [0, 1, 2].map(|class| calls(&after)[class] - calls(&before)[class]);
    assert!(class_a == 2 && class_b == 2 && free == 1, "{before} {after}");
    let bytes = |usage: &Value, member: &str| usage[member].as_u64().expect("a count");
    assert!(bytes(&after, "bytesIn") - bytes(&before, "bytesIn") >= 5, "{after}");
    assert!(bytes(&after, "bytesOut") - bytes(&before, "bytesOut") >= 5, "{after}");
    assert_eq!((&after["id"], &after["isComplete"]), (&json!(store.id), &json!(true)));
    assert_eq!((&after["cost"], &after["prices"]), (&Value::Null, &Value::Null), "no prices are configured");
    let of_other = of_store(&larder, &other).await;
    assert!(calls(&of_other)[2] == 0, "{of_other}");
});

contract_test!(everything_is_summed_and_priced_for_the_admin, async |larder: Larder| {
    let prices: Prices = "a=1000,out=1,currency=EUR".parse().expect("a price list");
    let larder = larder.restarted_with(|options| options.prices = Some(prices)).await;
    let store = larder.new_store().await;
    store.put_text("a", "flour").await;
    let all = larder.get(USAGE).await.answers(200).data();
    let parts = ["withoutStore", "background"].map(|part| calls(&all[part]));
    let stores = all["stores"]["items"].as_array().expect("a list").iter().map(calls);
    let mut sum = [0; 3];
    for part in stores.chain(parts).chain([calls(&all["stores"]["others"])]) {
        sum = [0, 1, 2].map(|class| sum[class] + part[class]);
    }
    assert_eq!(sum, calls(&all["total"]), "{all}");
    assert_eq!(all["prices"]["currency"], "EUR");
    assert!(all["total"]["cost"].as_f64() >= Some(1.0), "{all}");
    let one = larder.get(format!("{USAGE}?limit=1")).await.answers(200);
    assert_eq!(one.data()["stores"]["items"].as_array().expect("a list").len(), 1);
    larder.get(format!("{USAGE}?limit=x")).await.fails(400, "invalid-parameter");
    larder.get(format!("{USAGE}?store={}&run=x", store.id)).await.fails(400, "invalid-parameter");
    larder.get(format!("{USAGE}?store=absent")).await.fails(404, "record-not-found");
});

contract_test!(a_run_pays_for_its_store_however_that_is_called, async |larder: Larder| {
    let run = larder.post("/v2/acts/baker/runs").await.answers(201);
    let (id, store) = (run.text("id"), Store::new(&larder, run.text("defaultKeyValueStoreId")));
    let usage = async || calls(&larder.get(format!("{USAGE}?run={id}")).await.answers(200).data());
    let before = usage().await;
    store.put_text("OUTPUT", "bread").await;
    let by_id = usage().await;
    assert!(by_id[0] > before[0], "{before:?} {by_id:?}");
    larder.get(format!("/v2/actor-runs/{id}/key-value-store/records/OUTPUT")).await.answers(200);
    let by_run = usage().await;
    assert!(by_run[1] > by_id[1], "{by_id:?} {by_run:?}");
    larder.get(format!("{USAGE}?run=absent")).await.fails(404, "record-not-found");
});

contract_test!(usage_is_shown_to_owners_and_everything_to_the_admin_alone, async |larder: Larder| {
    let bob = larder.user("bob").await;
    larder.get(USAGE).token(&bob).await.fails(403, "insufficient-permissions");
    larder.get(USAGE).anonymous().await.fails(401, "token-not-provided");
    larder.get(USAGE).token(TOKEN).await.answers(200);
    let store = larder.new_store().await;
    larder.get(format!("{USAGE}?store={}", store.id)).token(&bob).await.fails(403, "insufficient-permissions");
    let made = larder.post("/v2/key-value-stores").token(&bob).await.answers(201).text("id");
    larder.get(format!("{USAGE}?store={made}")).token(&bob).await.answers(200);
});

/// Longer than a store rests after it was counted.
const REST: Duration = Duration::from_mins(2);

/// Returns the contents of a store: records, bytes.
async fn counted(store: &Store) -> Option<(u64, u64)> {
    let object = store.object().await;
    let number = |name: &str| object["stats"][name].as_u64();
    assert_eq!(number("storageBytes"), number("s3StorageBytes"));
    assert_eq!(object["stats"]["countedAt"].is_string(), number("itemCount").is_some(), "{object}");
    number("itemCount").zip(number("storageBytes"))
}

contract_test!(what_is_in_a_store_is_counted_after_it_has_changed, async |larder: Larder| {
    let store = larder.new_store().await;
    assert_eq!(counted(&store).await, None);
    store.put_text("a", "flour").await;
    store.put_text("b", "salt").await;
    assert_eq!(counted(&store).await, None, "no request counts");
    larder.count().await;
    assert_eq!(counted(&store).await, Some((2, 9)));
    store.delete("/records/a").await.answers(204);
    larder.count().await;
    assert_eq!(counted(&store).await, Some((2, 9)), "a store that was counted rests");
    larder.advance(REST);
    larder.count().await;
    assert_eq!(counted(&store).await, Some((1, 4)));
    let listed = larder.get(format!("{STORES}?unnamed=1")).await.answers(200);
    assert_eq!(listed.data()["items"][0]["stats"]["itemCount"], 1);
    assert_eq!(counted(&store.behind(&larder.restarted().await)).await, Some((1, 4)));
});

contract_test!(a_store_that_has_not_changed_is_not_counted_again, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "flour").await;
    larder.count().await;
    larder.advance(REST);
    store.record("a").await;
    let nothing = larder.calls(async || larder.count_only().await).await;
    assert_eq!(nothing, Calls::NONE);
    larder.write_use_down().await;
    let nothing = larder.calls(async || larder.count_only().await).await;
    assert_eq!(nothing, Calls::NONE, "it was only read");
});

contract_test!(a_count_that_a_stop_prevented_is_made_after_the_next_use, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "flour").await;
    larder.write_use_down().await;
    let larder = larder.restarted().await;
    let store = store.behind(&larder);
    larder.count().await;
    assert_eq!(counted(&store).await, None);
    larder.count().await;
    assert_eq!(counted(&store).await, Some((1, 5)));
});

contract_test!(every_page_of_a_large_store_is_counted, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let keys: Vec<String> = (0..1001).map(|key| format!("key-{key}")).collect();
    for keys in keys.chunks(20) {
        futures_util::future::join_all(keys.iter().map(|key| store.put_text(key, "x"))).await;
    }
    larder.count().await;
    assert_eq!(counted(&store).await, Some((1001, 1001)));
});

contract_test!(nothing_of_a_count_is_left_behind_by_a_deleted_store, async |larder: Larder| {
    let store = larder.new_store().await;
    for text in ["flour", "flour and salt"] {
        store.put_text("a", text).await;
        larder.count().await;
        larder.advance(REST);
    }
    let entries = async || {
        let objects = larder.objects_of(&store).await;
        objects.into_iter().filter(|key| key.starts_with("larder/store-usage/")).count()
    };
    assert_eq!(entries().await, 1, "one says how much is in it");
    store.delete("").await.answers(204);
    larder.reconcile_stores().await;
    assert_eq!(entries().await, 0);
});

contract_test!(an_account_is_shown_with_what_it_has, async |larder: Larder| {
    let account = async || larder.get("/larder/v1/users/admin").await.answers(200).data()["usage"].clone();
    let usage = |stores: u64, records: u64, bytes: u64| -> Value {
        serde_json::json!({ "stores": stores, "records": records, "bytes": bytes })
    };
    assert_eq!(account().await, usage(0, 0, 0));
    let (shop, cellar) = (larder.named_store("shop").await, larder.new_store().await);
    shop.put_text("a", "flour").await;
    cellar.put_text("b", "wine").await;
    larder.count().await;
    larder.advance(REST);
    larder.has(2, 9).await;
    assert_eq!(account().await, usage(2, 2, 9));
    shop.delete("").await.answers(204);
    larder.advance(REST);
    larder.has(1, 4).await;
    assert_eq!(account().await, usage(1, 1, 4));
});
