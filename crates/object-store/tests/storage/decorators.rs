//! The decorators: counts of calls, and injected faults.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use larder_object_store::{
    BodyError, Error, GetOptions, ListOptions, ObjectStore, Operation, Precondition, PutOptions,
    metrics_layer::{Calls, MetricsLayer},
};
use larder_runtime::clock::{ManualClock, Timestamp};
use larder_test_kit::fault_injection::{Call, Fault, FaultInjector, Refusal};

use crate::{
    stores::{self, TestStore},
    values::{MUCH, broken, provided, put, read, stream_of, value},
};

fn measured() -> (TestStore, MetricsLayer) {
    let store = stores::memory();
    let measured = MetricsLayer::new(store.objects());
    (store, measured)
}

fn faulty() -> (TestStore, Arc<ManualClock>, FaultInjector) {
    let (store, clock) = (stores::memory(), Arc::new(ManualClock::new(Timestamp::from_millis(0))));
    let faulty = FaultInjector::new(store.objects(), clock.clone());
    (store, clock, faulty)
}

fn first(operation: Operation) -> Call {
    Call { operation: Some(operation), ..Call::default() }
}

#[tokio::test]
async fn every_call_is_counted_once_with_its_outcome() {
    let (_store, store) = measured();
    put(&store, "k", &value(1, 100)).await;
    store.put("k", value(1, 1).into(), provided(Precondition::IfAbsent)).await.unwrap_err();
    store.put("k", broken(None, &value(1, 1), Some(BodyError::Aborted)), PutOptions::default()).await.unwrap_err();
    read(&store, "k").await.unwrap();
    read(&store, "absent").await.unwrap_err();
    store.head("k").await.unwrap();
    let before = store.counts();
    store.copy("k", "l", Precondition::None).await.unwrap();
    store.list(ListOptions { limit: 1, ..ListOptions::default() }).await.unwrap();
    store.delete("k", Precondition::None).await.unwrap();
    store.delete_many(vec!["l".to_owned()]).await.unwrap();
    store.check().await.unwrap();
    let counts = store.counts();
    assert_eq!(counts.for_operation(Operation::Put), Calls { begun: 3, succeeded: 1, negative: 1, failed: 1 });
    assert_eq!(counts.for_operation(Operation::Get), Calls { begun: 2, succeeded: 1, negative: 1, failed: 0 });
    assert_eq!(counts.for_operation(Operation::Head), Calls { begun: 1, succeeded: 1, negative: 0, failed: 0 });
    assert_eq!((before.total(), counts.total(), counts.since(&before).total()), (6, 11, 5));
    for operation in [Operation::Copy, Operation::List, Operation::Delete, Operation::DeleteMany, Operation::Check] {
        assert_eq!(counts.since(&before).for_operation(operation).succeeded, 1, "{}", operation.name());
    }
}

#[tokio::test]
async fn bytes_are_counted_when_they_were_stored_or_handed_out() {
    let (_store, store) = measured();
    put(&store, "k", &value(1, 100)).await;
    store.put("l", stream_of(&value(1, 1000)), PutOptions::default()).await.unwrap();
    store.put("k", value(1, 7).into(), provided(Precondition::IfAbsent)).await.unwrap_err();
    read(&store, "l").await.unwrap();
    let range = Some(larder_object_store::ByteRange::Suffix(10));
    store.get("k", GetOptions { range }).await.unwrap();
    assert_eq!((store.counts().bytes_in, store.counts().bytes_out), (1100, 1010));
}

#[tokio::test]
async fn a_refused_call_did_nothing_and_a_lost_answer_did_all() {
    let (inner, _clock, store) = faulty();
    store.inject(first(Operation::Put), Fault::Refuse(Refusal::Throttled));
    let error = store.put("k", value(1, 1).into(), PutOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Throttled { .. }));
    assert!(matches!(inner.objects().head("k").await, Err(Error::NotFound)));
    store.inject(first(Operation::Put), Fault::LoseResponse);
    let error = store.put("k", value(1, 1).into(), PutOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout));
    assert_eq!(read(&store, "k").await.unwrap(), value(1, 1));
    assert_eq!(store.injected(), 2);
}

#[tokio::test]
async fn a_script_waits_for_the_call_it_is_for() {
    let (_inner, _clock, store) = faulty();
    let call = Call { operation: Some(Operation::Head), key_contains: "b".to_owned(), skip: 1 };
    store.inject(call, Fault::Refuse(Refusal::Unavailable));
    for key in ["a", "abc", "a"] {
        assert!(matches!(store.head(key).await, Err(Error::NotFound)));
    }
    assert!(matches!(store.get("b", GetOptions::default()).await, Err(Error::NotFound)));
    assert!(matches!(store.head("b").await, Err(Error::Unavailable(_))));
    assert!(matches!(store.head("b").await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_cut_body_ends_at_its_byte_both_ways() {
    let (_inner, _clock, store) = faulty();
    put(&store, "k", &value(1, 1000)).await;
    store.inject(first(Operation::Put), Fault::CutBody { after: 300 });
    let error = store.put("k", value(2, 1000).into(), PutOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Body(BodyError::Aborted)));
    store.inject(first(Operation::Get), Fault::CutBody { after: 300 });
    let mut body = store.get("k", GetOptions::default()).await.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), value(1, 1000).slice(..300));
    assert!(matches!(body.next().await, Some(Err(BodyError::Storage(_)))));
    store.inject(first(Operation::Get), Fault::CutBody { after: 1000 });
    let body = store.get("k", GetOptions::default()).await.unwrap().body;
    assert_eq!(body.into_bytes(MUCH).await.unwrap(), value(1, 1000));
}

#[tokio::test]
async fn a_delayed_call_waits_for_the_clock() {
    let (_inner, clock, store) = faulty();
    let store = Arc::new(store);
    store.inject(first(Operation::Check), Fault::Delay(Duration::from_mins(1)));
    let call = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.check().await }
    });
    tokio::task::yield_now().await;
    assert!(!call.is_finished());
    clock.advance(Duration::from_mins(1));
    call.await.unwrap().unwrap();
}

#[tokio::test]
async fn chance_repeats_itself_by_its_seed_and_ends_when_calmed() {
    let mut rounds = Vec::new();
    for seed in [1, 1, 2] {
        let (_inner, _clock, store) = faulty();
        put(&store, "k", &Bytes::new()).await;
        store.inject_at_random(seed, 500, vec![Fault::Refuse(Refusal::Full), Fault::LoseResponse]);
        let mut outcomes = Vec::new();
        for _ in 0..100 {
            outcomes.push(store.head("k").await.map_err(|error| error.to_string()).map(|meta| meta.size));
        }
        store.clear_faults();
        store.head("k").await.unwrap();
        assert!((25..75).contains(&store.injected()), "{} of 100", store.injected());
        rounds.push(outcomes);
    }
    assert!(rounds[0] == rounds[1] && rounds[1] != rounds[2]);
}
