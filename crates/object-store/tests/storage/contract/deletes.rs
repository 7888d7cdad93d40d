//! Deletes, and the state that they leave behind.

use std::sync::Arc;

use larder_object_store::{
    ETag, Error, MAX_DELETE_KEYS, ObjectStore,
    Precondition::{IfMatch, None as Always},
    embedded::INLINE_LIMIT,
};

use crate::values::{keys, put, read, value};

type Store = Arc<dyn ObjectStore>;

pub async fn a_deleted_object_is_gone_and_may_be_deleted_again(store: Store) {
    for size in [0, 10, INLINE_LIMIT * 2] {
        put(&*store, "k", &value(1, size)).await;
        store.delete("k", Always).await.unwrap();
        assert!(matches!(read(&*store, "k").await, Err(Error::NotFound)));
        assert!(matches!(store.head("k").await, Err(Error::NotFound)));
        assert!(keys(&*store, "", 10).await.is_empty());
        store.delete("k", Always).await.unwrap();
        put(&*store, "k", &value(2, size)).await;
        assert!(read(&*store, "k").await.unwrap() == value(2, size));
    }
}

pub async fn many_objects_are_deleted_at_once(store: Store) {
    let mut names: Vec<String> = (0..MAX_DELETE_KEYS).map(|at| format!("many/{at:04}")).collect();
    for (at, name) in names.iter().enumerate().step_by(10) {
        put(&*store, name, &value(1, [3, INLINE_LIMIT + 1][usize::from(at % 200 == 0)])).await;
    }
    put(&*store, "many", &value(2, 1)).await;
    store.delete_many(Vec::new()).await.unwrap();
    store.delete_many(names.clone()).await.unwrap();
    assert_eq!(keys(&*store, "", 1000).await, ["many"]);
    names.push("one too many".to_owned());
    assert!(matches!(store.delete_many(names).await, Err(Error::Unsupported(_))));
}

pub async fn a_conditional_delete_spares_what_does_not_match(store: Store) {
    for size in [10, INLINE_LIMIT * 2] {
        let first = put(&*store, "k", &value(1, size)).await.etag;
        let second = put(&*store, "k", &value(2, size)).await.etag;
        // It may be refused as a whole, where the object store does not know it.
        if matches!(store.delete("k", IfMatch(first.clone())).await, Err(Error::Unsupported(_))) {
            continue;
        }
        for wrong in [first, ETag::new("never seen")] {
            assert!(matches!(store.delete("k", IfMatch(wrong)).await, Err(Error::Precondition)));
        }
        assert!(read(&*store, "k").await.unwrap() == value(2, size));
        store.delete("k", IfMatch(second.clone())).await.unwrap();
        assert!(matches!(store.head("k").await, Err(Error::NotFound)));
        assert!(matches!(store.delete("k", IfMatch(second)).await, Err(Error::Precondition)));
    }
}
