//! Reads, and the state that they see.

use std::sync::Arc;

use larder_object_store::{ByteRange, Error, GetOptions, ObjectStore, Precondition, embedded::INLINE_LIMIT};

use crate::values::{MUCH, SIZES, put, read, value};

type Store = Arc<dyn ObjectStore>;

fn part(range: ByteRange) -> GetOptions {
    GetOptions { range: Some(range) }
}

pub async fn what_is_not_there_is_not_found(store: Store) {
    assert!(matches!(store.get("k", GetOptions::default()).await, Err(Error::NotFound)));
    assert!(matches!(store.get("k", part(ByteRange::From(5))).await, Err(Error::NotFound)));
    assert!(matches!(store.head("k").await, Err(Error::NotFound)));
    put(&*store, "k/k", &value(1, 1)).await;
    assert!(matches!(store.head("k").await, Err(Error::NotFound)));
}

pub async fn ranges_are_cut_to_the_object(store: Store) {
    for size in SIZES.into_iter().filter(|size| *size > 0) {
        let (bytes, end) = (value(1, size), size as u64);
        put(&*store, "k", &bytes).await;
        let ranges = [
            ByteRange::From(0),
            ByteRange::From(end / 2),
            ByteRange::From(end - 1),
            ByteRange::Bounded { first: 0, last: 0 },
            ByteRange::Bounded { first: end / 3, last: end / 2 },
            ByteRange::Bounded { first: end - 1, last: u64::MAX },
            ByteRange::Bounded { first: 0, last: end - 1 },
            ByteRange::Bounded { first: 0, last: end + 5 },
            ByteRange::Suffix(1),
            ByteRange::Suffix(end / 2 + 1),
            ByteRange::Suffix(end + 100),
        ];
        for range in ranges {
            let expected = range.resolve(end).unwrap();
            let object = store.get("k", part(range)).await.unwrap();
            assert_eq!((object.meta.size, &object.range), (end, &expected));
            assert_eq!(object.body.length(), Some(expected.end - expected.start));
            let found = object.body.into_bytes(MUCH).await.unwrap();
            let expected = usize::try_from(expected.start).unwrap()..usize::try_from(expected.end).unwrap();
            assert!(found == bytes.slice(expected), "{range:?} of {size}");
        }
    }
}

pub async fn a_range_behind_the_end_is_refused_with_the_size(store: Store) {
    for size in [0, 10, INLINE_LIMIT + 1] {
        put(&*store, "k", &value(1, size)).await;
        let end = size as u64;
        let ranges = [
            ByteRange::From(end),
            ByteRange::From(u64::MAX),
            ByteRange::Bounded { first: end, last: end + 5 },
            ByteRange::Suffix(0),
        ];
        for range in ranges {
            let error = store.get("k", part(range)).await.unwrap_err();
            assert!(matches!(error, Error::RangeNotSatisfiable { size } if size == end), "{range:?}: {error:?}");
        }
    }
}

pub async fn a_reader_reads_on_whatever_is_written_meanwhile(store: Store) {
    for size in [INLINE_LIMIT, INLINE_LIMIT + 1, 4 * 1024 * 1024] {
        let old = value(1, size);
        put(&*store, "k", &old).await;
        let replaced = store.get("k", GetOptions::default()).await.unwrap();
        put(&*store, "k", &value(2, size + 1)).await;
        let deleted = store.get("k", part(ByteRange::From(3))).await.unwrap();
        store.delete("k", Precondition::None).await.unwrap();
        assert!(replaced.body.into_bytes(MUCH).await.unwrap() == old);
        assert!(deleted.body.into_bytes(MUCH).await.unwrap() == value(2, size + 1).slice(3..));
    }
}

pub async fn no_reader_sees_two_objects_mixed(store: Store) {
    const VERSIONS: usize = 60;
    let version = |number: usize| value(number as u64, [50, INLINE_LIMIT + 1, 700_000][number % 3] + number);
    put(&*store, "k", &version(0)).await;
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 1..VERSIONS {
                put(&*store, "k", &version(number)).await;
            }
        })
    };
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut last = 0;
                while last < VERSIONS - 1 {
                    let bytes = read(&*store, "k").await.unwrap();
                    let found = (last..VERSIONS).find(|number| version(*number).len() == bytes.len());
                    last = found.expect("an older object, or none that was ever written");
                    assert!(bytes == version(last), "version {last} came back changed");
                }
            })
        })
        .collect();
    writer.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
}

pub async fn the_store_says_that_it_can_serve(store: Store) {
    store.check().await.unwrap();
}
