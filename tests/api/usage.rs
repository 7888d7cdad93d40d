//! Cost of stores and runs in object calls.

use larder::telemetry::Prices;
use serde_json::{Value, json};

use crate::harness::{Larder, Store, TOKEN};

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
    assert_eq!((&after["cost"], &after["prices"]), (&Value::Null, &Value::Null), "nobody said what it costs");
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
