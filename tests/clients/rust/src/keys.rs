//! Listing keys: order, pages, prefixes, iteration.

use apify_client::ListKeysOptions;
use apify_client::clients::key_value_store::KeyValueStoreClient;
use apify_client::models::KeyValueStoreKeysPage;

use crate::bench::{Bench, Outcome, checks, refused};

checks![
    an_empty_store_lists_nothing,
    keys_come_in_the_order_of_their_bytes_with_size_and_link,
    pages_follow_each_other,
    wrong_limits_are_lowered_or_refused,
    prefix_start_key_limit_and_signature_narrow_together,
    iteration_stops_at_its_limit_with_its_prefix,
    iterating_over_more_than_a_thousand_keys_yields_each_once_in_order,
    a_public_keys_url_carries_a_signature,
];

fn texts(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

fn names(page: &KeyValueStoreKeysPage) -> Vec<&str> {
    page.items.iter().map(|item| &*item.key).collect()
}

async fn iterated(
    store: &KeyValueStoreClient,
    options: ListKeysOptions,
) -> apify_client::ApifyClientResult<Vec<String>> {
    let mut keys = store.iterate_keys(options);
    let mut all = Vec::new();
    while let Some(item) = keys.next().await? {
        all.push(item.key);
    }
    Ok(all)
}

async fn an_empty_store_lists_nothing(bench: Bench) -> Outcome {
    let page = bench.store().await?.list_keys(ListKeysOptions::default()).await?;
    assert_eq!((page.items.len(), page.limit, page.is_truncated), (0, 1000, false));
    assert_eq!((page.exclusive_start_key, page.next_exclusive_start_key), (None, None));
    Ok(())
}

async fn keys_come_in_the_order_of_their_bytes_with_size_and_link(bench: Bench) -> Outcome {
    let store = bench.filled(&texts(&["B", "a", "_x", "1", "!"])).await?;
    let page = store.list_keys(ListKeysOptions::default()).await?;
    assert_eq!(names(&page), ["!", "1", "B", "_x", "a"]);
    assert_eq!(page.items.iter().map(|item| item.size).collect::<Vec<_>>(), [1, 1, 1, 2, 1].map(Some));
    for item in page.items {
        assert!(item.record_public_url.is_some_and(|url| url.contains("/records/")), "{}", item.key);
    }
    Ok(())
}

async fn pages_follow_each_other(bench: Bench) -> Outcome {
    let store = bench.filled(&texts(&["a", "b", "c"])).await?;
    let first = store.list_keys(ListKeysOptions { limit: Some(2), ..Default::default() }).await?;
    assert_eq!((names(&first), first.limit, first.is_truncated), (vec!["a", "b"], 2, true));
    assert_eq!(first.next_exclusive_start_key.as_deref(), Some("b"));
    let options =
        ListKeysOptions { limit: Some(2), exclusive_start_key: first.next_exclusive_start_key, ..Default::default() };
    let second = store.list_keys(options).await?;
    assert_eq!((names(&second), second.is_truncated), (vec!["c"], false));
    assert_eq!((second.exclusive_start_key.as_deref(), second.next_exclusive_start_key), (Some("b"), None));
    Ok(())
}

async fn wrong_limits_are_lowered_or_refused(bench: Bench) -> Outcome {
    let store = bench.store().await?;
    for limit in [0, 5000] {
        let options = ListKeysOptions { limit: Some(limit), ..Default::default() };
        assert_eq!(store.list_keys(options).await?.limit, 1000);
    }
    let options = ListKeysOptions { limit: Some(-1), ..Default::default() };
    refused(store.list_keys(options).await, 400, "invalid-parameter");
    Ok(())
}

async fn prefix_start_key_limit_and_signature_narrow_together(bench: Bench) -> Outcome {
    let store = bench.filled(&texts(&["a", "img-1", "img-2", "img-3", "imh"])).await?;
    let options = ListKeysOptions {
        limit: Some(2),
        exclusive_start_key: Some("a".to_owned()),
        prefix: Some("img-".to_owned()),
        collection: None,
        signature: Some("x".to_owned()),
    };
    let page = store.list_keys(options).await?;
    assert_eq!((names(&page), page.is_truncated), (vec!["img-1", "img-2"], true));
    let options = ListKeysOptions { collection: Some("imgs".to_owned()), ..Default::default() };
    refused(store.list_keys(options).await, 400, "invalid-collection");
    Ok(())
}

async fn iteration_stops_at_its_limit_with_its_prefix(bench: Bench) -> Outcome {
    let store = bench.filled(&texts(&["a1", "a2", "a3", "a4", "b1"])).await?;
    let options = ListKeysOptions { limit: Some(3), ..Default::default() };
    assert_eq!(iterated(&store, options).await?, ["a1", "a2", "a3"]);
    let options = ListKeysOptions { prefix: Some("a".to_owned()), ..Default::default() };
    assert_eq!(iterated(&store, options).await?, ["a1", "a2", "a3", "a4"]);
    let options = ListKeysOptions { exclusive_start_key: Some("a3".to_owned()), ..Default::default() };
    assert_eq!(iterated(&store, options).await?, ["a4", "b1"]);
    Ok(())
}

async fn iterating_over_more_than_a_thousand_keys_yields_each_once_in_order(bench: Bench) -> Outcome {
    let expected: Vec<_> = (0..1001).map(|i| format!("key-{i:04}")).collect();
    let store = bench.filled(&expected).await?;
    assert_eq!(iterated(&store, ListKeysOptions::default()).await?, expected);
    Ok(())
}

async fn a_public_keys_url_carries_a_signature(bench: Bench) -> Outcome {
    let id = bench.open(None).await?.id;
    let store = bench.client.key_value_store(&id);
    for expires in [None, Some(60)] {
        let url = store.create_keys_public_url(expires).await?;
        let start = format!("{}/v2/key-value-stores/{id}/keys?signature=", bench.url);
        assert!(url.starts_with(&start) && url.len() > start.len(), "{url}");
    }
    Ok(())
}
