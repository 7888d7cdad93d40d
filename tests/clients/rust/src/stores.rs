//! Stores: create, open, find, list, rename, remove.

use std::collections::HashSet;

use apify_client::StorageListOptions;
use serde_json::{Value, json};

use crate::bench::{Bench, Outcome, checks, in_parallel, name, refused};

const ABSENT: &str = "Abcdefghjkmnpqrst";

checks![
    an_unnamed_store_is_new_each_time,
    a_store_description_has_what_the_model_promises,
    a_name_opens_one_store_whatever_its_case,
    a_store_is_found_by_id_and_by_name,
    an_absent_store_is_none_and_so_is_a_bare_name,
    update_changes_title_and_access_and_leaves_the_rest,
    update_gives_a_new_name_takes_it_away_and_gives_it_back,
    a_wrong_update_is_refused_and_changes_nothing,
    lists_are_paged_reversible_and_hold_unnamed_stores_on_request,
    iterating_over_more_than_a_thousand_stores_yields_each_once,
    a_removed_store_is_gone_at_once_and_removing_it_again_is_well,
];

async fn an_unnamed_store_is_new_each_time(bench: Bench) -> Outcome {
    let (one, two) = (bench.open(None).await?, bench.open(None).await?);
    assert!(one.id.len() == 17 && one.id.chars().all(|c| c.is_ascii_alphanumeric()), "{}", one.id);
    assert_ne!(one.id, two.id);
    assert_eq!(one.name, None);
    Ok(())
}

async fn a_store_description_has_what_the_model_promises(bench: Bench) -> Outcome {
    let name = name("typed");
    let store = bench.open(Some(&name)).await?;
    assert_eq!(store.name.as_deref(), Some(&*name));
    assert!(store.user_id.is_some() && store.created_at.is_some() && store.modified_at.is_some());
    let base = format!("{}/v2/key-value-stores/{}", bench.url, store.id);
    assert!(store.keys_public_url.as_deref().is_some_and(|url| url.starts_with(&format!("{base}/keys"))));
    assert!(store.records_public_url.as_deref().is_some_and(|url| url.starts_with(&format!("{base}/records"))));
    assert!(store.extra["urlSigningSecretKey"].is_string());
    assert_eq!(store.extra["generalAccess"], "FOLLOW_USER_SETTING");
    Ok(())
}

async fn a_name_opens_one_store_whatever_its_case(bench: Bench) -> Outcome {
    let name = name("case");
    let made = bench.open(Some(&name)).await?;
    assert_eq!(bench.open(Some(&name)).await?.id, made.id);
    let again = bench.open(Some(&name.to_uppercase())).await?;
    assert_eq!((again.id, again.name), (made.id, Some(name)));
    Ok(())
}

async fn a_store_is_found_by_id_and_by_name(bench: Bench) -> Outcome {
    let me = bench.client.me().get().await?.expect("the token has an owner");
    let username = serde_json::to_value(&me)?["username"].as_str().expect("a user has a name").to_owned();
    let name = name("found");
    let id = bench.open(Some(&name)).await?.id;
    for address in [id.clone(), format!("{username}/{name}"), format!("{username}~{name}"), format!("~{name}")] {
        let found = bench.client.key_value_store(&address).get().await?;
        assert_eq!(found.map(|store| store.id), Some(id.clone()), "{address}");
    }
    bench.client.key_value_store(format!("{username}/{name}")).set_record_json("k", &"by name").await?;
    let record = bench.client.key_value_store(&id).get_record("k").await?.expect("just written");
    assert_eq!(record.json::<String>()?, "by name");
    Ok(())
}

async fn an_absent_store_is_none_and_so_is_a_bare_name(bench: Bench) -> Outcome {
    let bare = name("bare");
    bench.open(Some(&bare)).await?;
    for address in [ABSENT.to_owned(), bare, format!("~{}", name("absent"))] {
        assert!(bench.client.key_value_store(&address).get().await?.is_none(), "{address}");
    }
    Ok(())
}

async fn update_changes_title_and_access_and_leaves_the_rest(bench: Bench) -> Outcome {
    let name = name("update");
    let store = bench.client.key_value_store(bench.open(Some(&name)).await?.id);
    // Long enough to be sent compressed.
    let title = "dlouhý název ".repeat(75);
    store.update(&json!({"title": title, "generalAccess": "RESTRICTED"})).await?;
    let read = store.get().await?.expect("it exists");
    assert_eq!(read.name, Some(name));
    assert_eq!((&read.extra["title"], &read.extra["generalAccess"]), (&json!(title), &json!("RESTRICTED")));
    Ok(())
}

async fn update_gives_a_new_name_takes_it_away_and_gives_it_back(bench: Bench) -> Outcome {
    let (before, after) = (name("before"), name("after"));
    let id = bench.open(Some(&before)).await?.id;
    let store = bench.client.key_value_store(&id);
    let renamed = store.update(&json!({"name": after})).await?;
    assert_eq!((renamed.id, renamed.name), (id.clone(), Some(after.clone())));
    let found = bench.client.key_value_store(format!("~{after}")).get().await?;
    assert_eq!(found.map(|store| store.id), Some(id));
    assert!(bench.client.key_value_store(format!("~{before}")).get().await?.is_none());
    assert_eq!(store.update(&json!({"name": Value::Null})).await?.name, None);
    assert!(bench.client.key_value_store(format!("~{after}")).get().await?.is_none());
    assert_eq!(store.update(&json!({"name": before})).await?.name, Some(before));
    Ok(())
}

async fn a_wrong_update_is_refused_and_changes_nothing(bench: Bench) -> Outcome {
    let (right, taken) = (name("right"), name("taken"));
    let store = bench.client.key_value_store(bench.open(Some(&right)).await?.id);
    bench.open(Some(&taken)).await?;
    refused(store.update(&json!({"name": "bad name"})).await, 400, "invalid-value");
    refused(store.update(&json!({"generalAccess": "WRONG"})).await, 400, "invalid-value");
    refused(store.update(&json!({"name": taken})).await, 409, "name-not-unique");
    refused(store.update(&json!([1])).await, 400, "invalid-request");
    assert_eq!(store.get().await?.expect("it exists").name, Some(right));
    let absent = bench.client.key_value_store(ABSENT);
    refused(absent.update(&json!({"title": "x"})).await, 404, "record-not-found");
    Ok(())
}

async fn lists_are_paged_reversible_and_hold_unnamed_stores_on_request(bench: Bench) -> Outcome {
    let mut newest_first = Vec::new();
    for _ in 0..3 {
        newest_first.insert(0, bench.open(Some(&name("list"))).await?.id);
    }
    let unnamed = bench.open(None).await?.id;
    let list = |options| async { bench.client.key_value_stores().list(options).await };

    let options = StorageListOptions {
        limit: Some(2),
        offset: Some(1),
        desc: Some(false),
        unnamed: Some(false),
        ownership: Some("ownedByMe".to_owned()),
    };
    let page = list(options).await?;
    assert_eq!((page.limit, page.offset, page.count, page.desc, page.items.len()), (2, 1, 2, false, 2));
    assert!(page.total >= 3);

    let options = StorageListOptions { limit: Some(3), desc: Some(true), ..Default::default() };
    let ids: Vec<_> = list(options).await?.items.into_iter().map(|store| store.id).collect();
    assert_eq!(ids, newest_first);

    let options = StorageListOptions { limit: Some(4), desc: Some(true), unnamed: Some(true), ..Default::default() };
    let ids: Vec<_> = list(options).await?.items.into_iter().map(|store| store.id).collect();
    newest_first.insert(0, unnamed);
    assert_eq!(ids, newest_first);

    let beyond = list(StorageListOptions { offset: Some(999_999), ..Default::default() }).await?;
    assert_eq!((beyond.items.len(), beyond.count, beyond.total), (0, 0, page.total));
    let wrong = StorageListOptions { ownership: Some("x".to_owned()), ..Default::default() };
    refused(list(wrong).await, 400, "param-not-one-of");
    let wrong = StorageListOptions { limit: Some(-1), ..Default::default() };
    refused(list(wrong).await, 400, "invalid-parameter");
    Ok(())
}

async fn iterating_over_more_than_a_thousand_stores_yields_each_once(bench: Bench) -> Outcome {
    let made = in_parallel(0..1001, |_| {
        let bench = bench.clone();
        async move { bench.open(None).await }
    })
    .await?;
    for chunk_size in [1000, 300] {
        let options = StorageListOptions { unnamed: Some(true), ..Default::default() };
        let stores = bench.client.key_value_stores().iterate(options).with_chunk_size(chunk_size);
        let listed = stores.collect_all().await?;
        let ids: HashSet<_> = listed.iter().map(|store| &*store.id).collect();
        assert_eq!(ids.len(), listed.len(), "a store came twice");
        assert!(made.iter().all(|store| ids.contains(&*store.id)));
    }
    let options = StorageListOptions { unnamed: Some(true), limit: Some(5), ..Default::default() };
    let few = bench.client.key_value_stores().iterate(options).with_chunk_size(2).collect_all().await?;
    assert_eq!(few.len(), 5);
    Ok(())
}

async fn a_removed_store_is_gone_at_once_and_removing_it_again_is_well(bench: Bench) -> Outcome {
    let name = name("gone");
    let id = bench.open(Some(&name)).await?.id;
    let store = bench.client.key_value_store(&id);
    store.set_record_json("k", &1).await?;
    store.delete().await?;
    assert!(store.get().await?.is_none());
    assert!(store.get_record("k").await?.is_none());
    assert!(!store.record_exists("k").await?);
    refused(store.list_keys(Default::default()).await, 404, "record-not-found");
    refused(store.set_record_json("k", &1).await, 404, "record-not-found");
    refused(store.delete_record("k").await, 404, "record-not-found");
    store.delete().await?;
    let again = bench.open(Some(&name)).await?;
    assert_ne!(again.id, id);
    assert!(bench.client.key_value_store(&again.id).get_record("k").await?.is_none());
    Ok(())
}
