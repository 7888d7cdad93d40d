//! Puts, and the state that they leave behind.

use std::sync::Arc;

use bytes::Bytes;
use larder_object_store::{
    Attributes, BodyError, ByteStream, Error, GetOptions, ObjectStore, PutOptions, embedded::INLINE_LIMIT,
};
use larder_runtime::clock::{Clock, SystemClock};

use crate::values::{SIZES, broken, is_about, put, read, stream_of, typed, value};

type Store = Arc<dyn ObjectStore>;

pub async fn what_is_put_is_read_back_with_its_attributes(store: Store) {
    let all = [
        typed("text/plain; charset=utf-8"),
        typed(""),
        Attributes { content_type: "application/json".to_owned(), content_encoding: Some("br".to_owned()) },
    ];
    for (size, attributes) in SIZES.into_iter().zip(all.iter().cycle()) {
        let (key, bytes) = (format!("a/{size}"), value(1, size));
        let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
        let outcome = store.put(&key, bytes.clone().into(), options).await.unwrap();
        let meta = store.head(&key).await.unwrap();
        assert_eq!(meta.size, size as u64);
        assert_eq!(meta.attributes, *attributes);
        assert_eq!(meta.etag, outcome.etag);
        assert!(is_about(meta.last_modified, outcome.last_modified), "{meta:?} {outcome:?}");
        let object = store.get(&key, GetOptions::default()).await.unwrap();
        assert_eq!(object.meta, meta);
        assert_eq!(object.body.length(), Some(size as u64));
        assert!(read(&*store, &key).await.unwrap() == bytes, "{size} bytes came back changed");
    }
}

pub async fn a_stream_of_unknown_length_is_stored_whole(store: Store) {
    for size in SIZES {
        let bytes = value(2, size);
        store.put("stream", stream_of(&bytes), PutOptions::default()).await.unwrap();
        assert!(read(&*store, "stream").await.unwrap() == bytes, "{size} bytes came back changed");
    }
}

pub async fn a_put_replaces_bytes_and_attributes_whatever_their_sizes(store: Store) {
    for (turn, from) in SIZES.into_iter().enumerate() {
        for to in SIZES {
            put(&*store, "k", &value(3, from)).await;
            let options = PutOptions { attributes: typed(&format!("x/{turn}")), ..PutOptions::default() };
            store.put("k", value(4, to).into(), options).await.unwrap();
            assert!(read(&*store, "k").await.unwrap() == value(4, to), "{to} bytes over {from}");
            assert_eq!(store.head("k").await.unwrap().attributes, typed(&format!("x/{turn}")));
        }
    }
}

pub async fn the_etag_changes_with_the_bytes_and_with_the_attributes(store: Store) {
    for size in [5, INLINE_LIMIT + 5] {
        let mut seen = Vec::new();
        let coded = Attributes { content_encoding: Some("gzip".to_owned()), ..typed("text/plain") };
        for (bytes, attributes) in [
            (value(5, size), typed("text/plain")),
            (value(6, size), typed("text/plain")),
            (value(5, size), typed("text/html")),
            (value(5, size), coded),
        ] {
            let options = PutOptions { attributes, ..PutOptions::default() };
            let etag = store.put("k", bytes.into(), options).await.unwrap().etag;
            assert!(!seen.contains(&etag), "{etag} twice");
            assert!(!etag.as_str().contains('"'), "{etag} has quotes");
            assert_eq!(store.head("k").await.unwrap().etag, etag);
            seen.push(etag);
        }
    }
}

pub async fn a_body_that_breaks_off_leaves_the_old_object(store: Store) {
    let whole = value(8, 1024 * 1024);
    for old in [None, Some(value(7, 10)), Some(value(7, INLINE_LIMIT * 2))] {
        store.delete("k", larder_object_store::Precondition::None).await.unwrap();
        if let Some(old) = &old {
            put(&*store, "k", old).await;
        }
        for at in [0, 1, INLINE_LIMIT - 1, INLINE_LIMIT, INLINE_LIMIT + 1, 600_000, whole.len()] {
            for announced in [None, Some(whole.len() as u64 + 1)] {
                let body = broken(announced, &whole.slice(..at), Some(BodyError::Stalled));
                let error = store.put("k", body, PutOptions::default()).await.unwrap_err();
                assert!(matches!(error, Error::Body(BodyError::Stalled)), "{error:?}");
                match &old {
                    None => assert!(matches!(store.head("k").await, Err(Error::NotFound))),
                    Some(old) => assert!(read(&*store, "k").await.unwrap() == *old),
                }
            }
        }
    }
}

pub async fn a_body_of_another_length_than_announced_is_refused(store: Store) {
    put(&*store, "k", &Bytes::from_static(b"old")).await;
    for size in [1, 1000, INLINE_LIMIT, INLINE_LIMIT + 1, 700_000] {
        for announced in [size - 1, size + 1] {
            let body = broken(Some(announced as u64), &value(9, size), None);
            let error = store.put("k", body, PutOptions::default()).await.unwrap_err();
            assert!(matches!(error, Error::Body(_)), "{size} bytes, {announced} announced: {error:?}");
            assert_eq!(read(&*store, "k").await.unwrap(), "old");
        }
    }
}

pub async fn the_time_of_a_write_is_the_clocks(store: Store) {
    // Whole seconds are as fine as some object stores tell the time.
    let before = SystemClock.now().as_millis() / 1000;
    let outcome = put(&*store, "k", &Bytes::new()).await;
    let after = SystemClock.now().as_millis() / 1000 + 1;
    let written = outcome.last_modified.as_millis() / 1000;
    assert!((before..=after).contains(&written), "{before} <= {written} <= {after}");
    assert_eq!(store.head("k").await.unwrap().last_modified, outcome.last_modified);
}

pub async fn odd_keys_are_kept_apart(store: Store) {
    let printable: String = (' '..='~').filter(|c| !matches!(c, '/' | '\\')).collect();
    let mut keys = vec![
        printable,
        "k/".repeat(449) + "kk",
        "x".repeat(255),
        ["x".repeat(250), "~/".to_owned(), "x".repeat(6)].concat(),
        "UPPER".to_owned(),
        "upper".to_owned(),
        "a%2Fb".to_owned(),
        "b/c".to_owned(),
        "a+b".to_owned(),
        "a b".to_owned(),
        "a%20b".to_owned(),
        "a?b=c&d#e".to_owned(),
        "it's \"quoted\"".to_owned(),
        "_._../x".to_owned(),
        "~".to_owned(),
        "100%".to_owned(),
        "';DROP TABLE objects--".to_owned(),
    ];
    for key in &keys {
        let body = ByteStream::from(Bytes::from(key.clone()));
        store.put(key, body, PutOptions::default()).await.unwrap();
    }
    for key in &keys {
        assert_eq!(read(&*store, key).await.unwrap(), key);
    }
    keys.sort();
    assert_eq!(crate::values::keys(&*store, "", 1000).await, keys);
}
