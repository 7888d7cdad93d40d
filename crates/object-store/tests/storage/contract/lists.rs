//! Lists of keys.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use larder_object_store::{ListOptions, MAX_LIST_KEYS, ObjectStore, Precondition, embedded::INLINE_LIMIT};

use crate::values::{is_about, keys, put, value};

type Store = Arc<dyn ObjectStore>;

/// Writes at once: more is a load, and an object store may ask for patience then.
const WRITERS: usize = 64;

async fn fill(store: &Store, names: impl IntoIterator<Item = String>) {
    let written = stream::iter(names).for_each_concurrent(WRITERS, async |name| {
        put(&**store, &name, &Bytes::from_static(b"x")).await;
    });
    written.await;
}

async fn page(store: &Store, prefix: &str, start_after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
    let options = ListOptions { prefix: prefix.to_owned(), start_after: start_after.map(str::to_owned), limit };
    let page = store.list(options).await.unwrap();
    (page.objects.into_iter().map(|object| object.key).collect(), page.is_truncated)
}

pub async fn pages_give_all_keys_in_byte_order(store: Store) {
    let mut names: Vec<String> = (0..2345).map(|at| format!("in/{}", at * 7919 % 2345)).collect();
    fill(&store, names.clone()).await;
    fill(&store, ["im", "in", "in.", "in/", "in0", "io"].map(|name| name.to_owned() + "x")).await;
    names.push("in/x".to_owned());
    names.sort();
    for limit in [1000, 999, 500, 7] {
        assert!(keys(&*store, "in/", limit).await == names, "pages of {limit}");
    }
}

pub async fn a_prefix_may_end_anywhere(store: Store) {
    let names = ["a/b/c", "a/b/d/e", "a/b0", "a/bc", "a/c", "aa", "b/a", "~/~"];
    fill(&store, names.map(str::to_owned)).await;
    let under = |prefix: &str| -> Vec<&str> { names.into_iter().filter(|name| name.starts_with(prefix)).collect() };
    for prefix in ["", "a", "a/", "a/b", "a/b/", "a/b/d/", "a/bc", "a/bcd", "b/", "c/", "~", "~/~"] {
        assert_eq!(keys(&*store, prefix, 100).await, under(prefix), "{prefix}");
        assert_eq!(keys(&*store, prefix, 1).await, under(prefix), "{prefix}, one by one");
    }
}

pub async fn a_page_starts_behind_a_key_that_need_not_exist(store: Store) {
    fill(&store, ["p/b", "p/d", "p/f", "q/a"].map(str::to_owned)).await;
    for (after, expected) in [
        ("p/", &["p/b", "p/d", "p/f"][..]),
        ("p/a", &["p/b", "p/d", "p/f"]),
        ("p/b", &["p/d", "p/f"]),
        ("p/b ", &["p/d", "p/f"]),
        ("p/c", &["p/d", "p/f"]),
        ("p/e", &["p/f"]),
        ("p/f", &[]),
        ("p/~~~", &[]),
    ] {
        assert_eq!(
            page(&store, "p/", Some(after), 10).await,
            (expected.iter().map(|k| (*k).to_owned()).collect(), false)
        );
    }
}

pub async fn a_page_says_whether_more_follows(store: Store) {
    fill(&store, (0..=MAX_LIST_KEYS).map(|at| format!("k/{at:05}"))).await;
    let (first, more) = page(&store, "k/", None, MAX_LIST_KEYS).await;
    assert_eq!((first.len(), more), (MAX_LIST_KEYS, true));
    let (rest, more) = page(&store, "k/", first.last().map(String::as_str), MAX_LIST_KEYS).await;
    assert_eq!((rest.len(), more), (1, false));
    let (exact, more) = page(&store, "k/0000", None, 10).await;
    assert_eq!((exact.len(), more), (10, false));
    let (fewer, more) = page(&store, "k/0000", None, 9).await;
    assert_eq!((fewer.len(), more), (9, true));
    assert_eq!(page(&store, "none/", None, 5).await, (Vec::new(), false));
}

pub async fn a_list_sees_what_was_written_before_it_began(store: Store) {
    let mut written = BTreeMap::new();
    for (turn, size) in (0_u64..60).zip([0, 9, INLINE_LIMIT + 9].into_iter().cycle()) {
        let key = format!("k/{}", turn % 13);
        if turn % 5 == 4 {
            store.delete(&key, Precondition::None).await.unwrap();
            written.remove(&key);
        } else {
            let outcome = put(&*store, &key, &value(turn, size)).await;
            written.insert(key, (size as u64, outcome));
        }
        let options = ListOptions { prefix: "k/".to_owned(), start_after: None, limit: 100 };
        let listed = store.list(options).await.unwrap().objects;
        assert_eq!(listed.len(), written.len());
        for (object, (key, (size, outcome))) in listed.iter().zip(&written) {
            assert_eq!((&object.key, object.size), (key, *size));
            assert!(is_about(object.last_modified, outcome.last_modified), "{object:?} {outcome:?}");
            assert!(object.etag.as_ref().is_none_or(|etag| *etag == outcome.etag));
        }
    }
}
