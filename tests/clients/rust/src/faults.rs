//! Invalid requests: each is rejected with a clear response, and nothing is stored.

use apify_client::{ListKeysOptions, StorageListOptions};

use crate::bench::{Bench, Outcome, checks, connect, refused};

checks![
    keys_with_signs_that_are_not_allowed_are_refused,
    a_name_that_is_not_allowed_is_refused,
    a_wrong_token_is_refused_and_so_is_none,
];

async fn keys_with_signs_that_are_not_allowed_are_refused(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    let long = "k".repeat(257);
    for key in ["a/b", "a b", "100%", "é", "a?b", "a:b", "a*b", "a@b", "a~b", "a+b", "a#b", &long] {
        refused(store.set_record_json(key, &1).await, 400, "invalid-record-key");
        refused(store.delete_record(key).await, 400, "invalid-record-key");
    }
    assert!(store.list_keys(ListKeysOptions::default()).await?.items.is_empty());
    Ok(())
}

async fn a_name_that_is_not_allowed_is_refused(bench: Bench) -> Outcome {
    let long = "a".repeat(64);
    for name in ["my_store", "-a", "a-", "a b", &long] {
        refused(bench.open(Some(name)).await, 400, "invalid-value");
    }
    Ok(())
}

async fn a_wrong_token_is_refused_and_so_is_none(bench: Bench) -> Outcome {
    let (wrong, none) = (connect(&bench.url, Some("wrong")), connect(&bench.url, None));
    let list = StorageListOptions::default;
    refused(wrong.key_value_stores().list(list()).await, 401, "user-or-token-not-found");
    refused(none.key_value_stores().list(list()).await, 401, "token-not-provided");
    refused(none.key_value_stores().get_or_create(Some("x")).await, 401, "token-not-provided");
    Ok(())
}
