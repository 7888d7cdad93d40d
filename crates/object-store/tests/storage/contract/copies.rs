//! Copies of objects.

use std::sync::Arc;

use bytes::Bytes;
use larder_object_store::{
    Attributes, Error, ObjectStore,
    Precondition::{self, IfAbsent, IfMatch},
    PutOptions,
};

use crate::values::{SIZES, put, read, value};

type Store = Arc<dyn ObjectStore>;

pub async fn a_copy_has_the_bytes_and_the_attributes_and_a_life_of_its_own(store: Store) {
    let attributes = Attributes { content_type: "image/png".to_owned(), content_encoding: Some("gzip".to_owned()) };
    for size in SIZES {
        let bytes = value(1, size);
        let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
        store.put("from", bytes.clone().into(), options).await.unwrap();
        put(&*store, "to", &value(2, 100)).await;
        let outcome = store.copy("from", "to", Precondition::None).await.unwrap();
        let meta = store.head("to").await.unwrap();
        assert_eq!((meta.size, &meta.attributes, &meta.etag), (size as u64, &attributes, &outcome.etag));
        put(&*store, "from", &value(3, size)).await;
        assert!(read(&*store, "to").await.unwrap() == bytes, "a copy changed with its source");
        store.delete("from", Precondition::None).await.unwrap();
        assert!(read(&*store, "to").await.unwrap() == bytes, "a copy went with its source");
    }
    let error = store.copy("nothing", "to", Precondition::None).await.unwrap_err();
    assert!(matches!(error, Error::NotFound));
}

pub async fn a_copy_onto_itself_changes_nothing_but_the_time(store: Store) {
    for size in SIZES {
        let etag = put(&*store, "k", &value(1, size)).await.etag;
        assert_eq!(store.copy("k", "k", Precondition::None).await.unwrap().etag, etag);
        assert!(read(&*store, "k").await.unwrap() == value(1, size));
    }
}

pub async fn a_copy_obeys_its_precondition(store: Store) {
    let from = put(&*store, "from", &Bytes::from_static(b"new")).await.etag;
    let old = put(&*store, "to", &Bytes::from_static(b"old")).await.etag;
    for precondition in [IfAbsent, IfMatch(from.clone())] {
        assert!(matches!(store.copy("from", "to", precondition).await, Err(Error::Precondition)));
        assert_eq!(read(&*store, "to").await.unwrap(), "old");
    }
    store.copy("from", "to", IfMatch(old)).await.unwrap();
    store.copy("from", "fresh", IfAbsent).await.unwrap();
    assert_eq!(read(&*store, "to").await.unwrap(), "new");
    assert_eq!(read(&*store, "fresh").await.unwrap(), "new");
}
