//! Quotas of accounts.

use std::time::Duration;

use larder::auth::Quota;
use serde_json::{Value, json};

use crate::harness::{Calls, Larder, STORES, Store};

/// Longer than the lifetime of counted usage, and than the rest of a store after it was counted.
const REST: Duration = Duration::from_mins(2);

async fn limited(larder: &Larder, quota: Quota) -> Larder {
    larder.restarted_with(|options| options.quota = quota).await
}

/// Counts what there is: so many records of so many bytes.
async fn counted(larder: &Larder, records: u64, bytes: u64) {
    larder.advance(REST);
    larder.count().await;
    larder.has(records, bytes).await;
}

async fn refused(store: &Store, key: &str, text: &str) -> String {
    store.put(&format!("/records/{key}")).body(text.to_owned()).await.fails(403, "quota-exceeded")
}

contract_test!(a_store_takes_no_more_records_than_it_may_have, async |larder: Larder| {
    let larder = limited(&larder, Quota { store_records: Some(2), ..Quota::default() }).await;
    let store = larder.named_store("shop").await;
    store.put_text("a", "flour").await;
    store.put_text("b", "salt").await;
    counted(&larder, 2, 9).await;
    let message = refused(&store, "c", "sugar").await;
    assert_eq!(message, format!("Key-value Store {} has 2 records, of at most 2", store.id));
    store.get("/records/c").await.fails(404, "record-not-found");
    store.put_text("b", "more salt").await;
    larder.named_store("cellar").await.put_text("c", "wine").await;
    store.delete("/records/a").await.answers(204);
    counted(&larder, 2, 13).await;
    store.put_text("c", "sugar").await;
});

contract_test!(a_store_takes_no_more_bytes_than_it_may_have, async |larder: Larder| {
    let larder = limited(&larder, Quota { store_bytes: Some(10), ..Quota::default() }).await;
    let store = larder.named_store("shop").await;
    assert!(refused(&store, "a", "eleven byte").await.ends_with("may have at most 10 bytes"));
    store.put_text("a", "ten bytes!").await;
    store.put_text("b", "overdrawn").await;
    counted(&larder, 2, 19).await;
    assert!(refused(&store, "b", "x").await.ends_with("has 19 bytes, of at most 10"));
    assert_eq!(store.record("b").await.body, "overdrawn".as_bytes());
    for key in ["a", "b"] {
        store.delete(&format!("/records/{key}")).await.answers(204);
    }
    counted(&larder, 0, 0).await;
    store.put_text("b", "x").await;
});

contract_test!(a_user_stores_no_more_than_the_quota_over_all_stores, async |larder: Larder| {
    let larder = limited(&larder, Quota { records: Some(2), bytes: Some(10), ..Quota::default() }).await;
    let (shop, cellar) = (larder.named_store("shop").await, larder.named_store("cellar").await);
    shop.put_text("a", "flour").await;
    cellar.put_text("b", "wine").await;
    counted(&larder, 2, 9).await;
    assert_eq!(refused(&shop, "c", "x").await, "User admin has 2 records, of at most 2");
    let warm = larder.calls(async || larder.get("/larder/v1/users/admin").await.answers(200)).await;
    assert_eq!(warm, Calls::NONE, "usage is cached");
    shop.put_text("a", "ten bytes!").await;
    counted(&larder, 2, 14).await;
    assert_eq!(refused(&cellar, "b", "x").await, "User admin has 14 bytes, of at most 10");
    shop.delete("").await.answers(204);
    counted(&larder, 1, 4).await;
    let put = larder.calls(async || cellar.put_text("b", "beer").await).await;
    assert_eq!(put, Calls { put: 1, ..Calls::NONE });
});

contract_test!(a_user_creates_no_more_stores_than_the_quota, async |larder: Larder| {
    let shop = larder.named_store("shop").await;
    let larder = limited(&larder, Quota { stores: Some(2), ..Quota::default() }).await;
    let unnamed = larder.new_store().await;
    let message = larder.post(STORES).await.fails(403, "quota-exceeded");
    assert_eq!(message, "User admin has 2 stores, of at most 2");
    larder.post(format!("{STORES}?name=cellar")).await.fails(403, "quota-exceeded");
    assert_eq!(larder.post(format!("{STORES}?name=shop")).await.answers(200).text("id"), shop.id);
    unnamed.delete("").await.answers(204);
    larder.post(format!("{STORES}?name=cellar")).await.answers(201);
});

contract_test!(what_one_user_may_have_is_set_by_the_admin, async |larder: Larder| {
    let larder = limited(&larder, Quota { stores: Some(1), ..Quota::default() }).await;
    let bob = larder.user("bob").await;
    let quota = async |quota: Value| larder.put("/larder/v1/users/bob").json(&json!({ "quota": quota })).await;
    let make = async || larder.post(STORES).token(&bob).await;
    make().await.answers(201);
    make().await.fails(403, "quota-exceeded");
    let set = quota(json!({ "stores": 2, "storeBytes": 5 })).await.answers(200);
    assert_eq!(set.data()["quota"], json!({ "stores": 2, "storeBytes": 5 }));
    let store = make().await.answers(201).text("id");
    make().await.fails(403, "quota-exceeded");
    let record = format!("{STORES}/{store}/records/a");
    larder.put(&record).token(&bob).body("six by").await.fails(403, "quota-exceeded");
    larder.put(&record).token(&bob).body("five!").await.answers(201);
    larder.post(STORES).await.answers(201);
    larder.post(STORES).await.fails(403, "quota-exceeded");
    let cleared = quota(json!({ "stores": null })).await.answers(200);
    assert_eq!(cleared.data()["quota"], json!({ "storeBytes": 5 }));
    make().await.fails(403, "quota-exceeded");
    for invalid in [json!(5), json!({ "stores": -1 }), json!({ "stores": "many" }), json!({ "shelves": 1 })] {
        quota(invalid).await.fails(400, "invalid-value");
    }
    let quota = json!({ "quota": { "stores": 9 } });
    larder.put("/larder/v1/users/bob").token(&bob).json(&quota).await.fails(403, "insufficient-permissions");
});
