//! Preconditions, also among concurrent writers.

use std::sync::Arc;

use bytes::Bytes;
use larder_object_store::{
    ETag, Error, GetOptions, ObjectStore,
    Precondition::{IfAbsent, IfMatch},
    embedded::INLINE_LIMIT,
};

use crate::values::{MUCH, provided, put, read, value};

type Store = Arc<dyn ObjectStore>;

pub async fn a_precondition_that_does_not_hold_writes_nothing(store: Store) {
    for size in [10, INLINE_LIMIT * 2] {
        let never = ETag::new("never seen");
        let write = async |key: &str, seed, precondition| {
            store.put(key, value(seed, size).into(), provided(precondition)).await
        };
        let key = format!("k{size}");
        assert!(matches!(write(&key, 1, IfMatch(never.clone())).await, Err(Error::Precondition)));
        assert!(matches!(store.head(&key).await, Err(Error::NotFound)));
        let first = write(&key, 2, IfAbsent).await.unwrap().etag;
        assert!(matches!(write(&key, 3, IfAbsent).await, Err(Error::Precondition)));
        assert!(matches!(write(&key, 4, IfMatch(never)).await, Err(Error::Precondition)));
        assert!(read(&*store, &key).await.unwrap() == value(2, size));
        write(&key, 5, IfMatch(first.clone())).await.unwrap();
        assert!(matches!(write(&key, 6, IfMatch(first)).await, Err(Error::Precondition)));
        assert!(read(&*store, &key).await.unwrap() == value(5, size));
    }
}

pub async fn of_many_who_create_an_object_exactly_one_wins(store: Store) {
    const RACERS: u64 = 32;
    for round in 0..8 {
        let (key, size) = (format!("race/{round}"), [20, INLINE_LIMIT + 20][round % 2]);
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let (store, key) = (Arc::clone(&store), key.clone());
                tokio::spawn(async move { store.put(&key, value(racer, size).into(), provided(IfAbsent)).await })
            })
            .collect();
        let mut winners = Vec::new();
        for (racer, task) in (0..RACERS).zip(racers) {
            match task.await.unwrap() {
                Ok(outcome) => winners.push((racer, outcome.etag)),
                Err(error) => assert!(matches!(error, Error::Precondition), "{error:?}"),
            }
        }
        let [(winner, etag)] = &winners[..] else { panic!("{} winners", winners.len()) };
        assert!(read(&*store, &key).await.unwrap() == value(*winner, size));
        assert_eq!(store.head(&key).await.unwrap().etag, *etag);
    }
}

pub async fn no_increment_by_compare_and_swap_is_lost(store: Store) {
    const TASKS: usize = 8;
    const INCREMENTS: usize = 25;
    put(&*store, "counter", &Bytes::from_static(b"0")).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut done = 0;
                while done < INCREMENTS {
                    let object = store.get("counter", GetOptions::default()).await.unwrap();
                    let bytes = object.body.into_bytes(MUCH).await.unwrap();
                    let count: usize = std::str::from_utf8(&bytes).unwrap().parse().unwrap();
                    let next = Bytes::from((count + 1).to_string());
                    match store.put("counter", next.into(), provided(IfMatch(object.meta.etag))).await {
                        Ok(_) => done += 1,
                        Err(error) => assert!(matches!(error, Error::Precondition), "{error:?}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(read(&*store, "counter").await.unwrap(), (TASKS * INCREMENTS).to_string());
}
