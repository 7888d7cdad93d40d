//! Contents of stores, as the background job counts them.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Calls, Larder, STORES, Store};

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
    larder.upkeep().await;
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
