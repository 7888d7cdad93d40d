//! Conditions by a single writer: what becomes of lost answers, of streams, and of what may still arrive.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use larder_object_store::{
    BodyError, ByteStream, ETag, Error, ObjectStore, Operation,
    Precondition::{IfAbsent, IfMatch, None as Unconditionally},
    PutOptions, PutOutcome, Result,
    in_memory::InMemoryStore,
    metrics_layer::MetricsLayer,
    single_writer::{IN_DOUBT_WINDOW, MAX_RETRY_BYTES, RESOLUTION_TIMEOUT, SingleWriterStore},
};
use larder_runtime::clock::{ManualClock, Timestamp};
use larder_test_kit::{
    fault_injection::{Call, Fault, FaultInjector, Refusal},
    no_conditional_writes::NoConditionalWrites,
};
use tokio::sync::mpsc;

use crate::values::{broken, provided, put, read, value};

/// Turns of a test's runtime that let every task come to where it waits.
const YIELDS: usize = 200;

struct World {
    clock: Arc<ManualClock>,
    memory: Arc<InMemoryStore>,
    faulty: Arc<FaultInjector<InMemoryStore>>,
    measured: Arc<MetricsLayer<FaultInjector<InMemoryStore>>>,
    store: Arc<SingleWriterStore<NoConditionalWrites<MetricsLayer<FaultInjector<InMemoryStore>>>>>,
}

fn world() -> World {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let memory = Arc::new(InMemoryStore::new(clock.clone()));
    let faulty = Arc::new(FaultInjector::new(memory.clone(), clock.clone()));
    let measured = Arc::new(MetricsLayer::new(faulty.clone()));
    let unconditional = Arc::new(NoConditionalWrites::new(measured.clone()));
    let store = Arc::new(SingleWriterStore::new(unconditional, clock.clone()));
    World { clock, memory, faulty, measured, store }
}

impl World {
    /// The next `times` calls of `operation` go wrong.
    fn inject(&self, operation: Operation, times: usize, fault: &Fault) {
        for _ in 0..times {
            self.faulty.inject(Call { operation: Some(operation), ..Call::default() }, fault.clone());
        }
    }

    /// Lets a call go on until it ends, moving the clock whenever it waits.
    async fn with_time<T>(&self, call: impl Future<Output = T>) -> T {
        let moving = async {
            loop {
                tokio::task::yield_now().await;
                self.clock.advance(Duration::from_millis(100));
            }
        };
        tokio::select! {
            biased;
            ended = call => ended,
            () = moving => unreachable!("it never ends"),
        }
    }

    async fn create(&self, key: &str, seed: u64, size: usize) -> Result<PutOutcome> {
        self.with_time(self.store.put(key, value(seed, size).into(), provided(IfAbsent))).await
    }

    async fn replace(&self, key: &str, etag: ETag, seed: u64) -> Result<PutOutcome> {
        self.with_time(self.store.put(key, value(seed, 10).into(), provided(IfMatch(etag)))).await
    }

    fn puts(&self) -> u64 {
        self.measured.counts().for_operation(Operation::Put).begun
    }
}

fn is_barred<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(Error::Throttled { retry_after: Some(wait) }) if *wait <= IN_DOUBT_WINDOW)
}

#[tokio::test]
async fn a_lost_answer_is_found_out_by_looking_and_leaves_no_doubt() {
    let world = world();
    world.inject(Operation::Put, 1, &Fault::LoseResponse);
    let etag = world.create("k", 1, 10).await.unwrap().etag;
    assert_eq!(world.puts(), 1, "what had arrived was sent again");
    let etag = world.replace("k", etag, 2).await.unwrap().etag;
    world.inject(Operation::Delete, 1, &Fault::LoseResponse);
    world.with_time(world.store.delete("k", IfMatch(etag))).await.unwrap();
    assert_eq!(world.measured.counts().for_operation(Operation::Delete).begun, 1);
    world.create("k", 3, 10).await.unwrap();
}

#[tokio::test]
async fn what_did_not_arrive_is_sent_again_and_bars_its_key_until_it_cannot_arrive() {
    for refusal in [Refusal::Timeout, Refusal::Unavailable] {
        let world = world();
        let etag = put(&*world.store, "k", &value(0, 10)).await.etag;
        world.inject(Operation::Put, 3, &Fault::Refuse(refusal));
        let etag = world.replace("k", etag, 1).await.expect("the fourth attempt is answered").etag;
        assert_eq!(read(&*world.memory, "k").await.unwrap(), value(1, 10));
        assert!(is_barred(&world.replace("k", etag.clone(), 2).await), "the first attempt may arrive over this");
        assert!(is_barred(&world.store.put("k", value(2, 10).into(), PutOptions::default()).await));
        assert!(is_barred(&world.store.delete("k", Unconditionally).await));
        assert!(is_barred(&world.store.delete_many(vec!["j".to_owned(), "k".to_owned()]).await));
        assert!(is_barred(&world.store.copy("k", "k", Unconditionally).await));
        assert_eq!(read(&*world.store, "k").await.unwrap(), value(1, 10), "reading goes on");
        world.create("other", 1, 10).await.expect("other keys are not barred");
        world.clock.advance(IN_DOUBT_WINDOW);
        world.replace("k", etag, 2).await.unwrap();
    }
}

#[tokio::test]
async fn a_write_that_is_never_answered_ends_in_time_and_bars_its_key() {
    let world = world();
    world.inject(Operation::Put, 1000, &Fault::Refuse(Refusal::Timeout));
    let created = world.create("k", 1, 10).await;
    assert!(matches!(created, Err(Error::Timeout)), "{created:?}");
    let took = larder_runtime::clock::Clock::monotonic(&*world.clock);
    assert!((RESOLUTION_TIMEOUT..RESOLUTION_TIMEOUT * 2).contains(&took), "{took:?}");
    assert!(world.puts() > 5 && world.puts() < 50, "{} attempts", world.puts());
    world.faulty.clear_faults();
    assert!(is_barred(&world.create("k", 2, 10).await));
    world.clock.advance(IN_DOUBT_WINDOW);
    world.create("k", 2, 10).await.unwrap();
}

#[tokio::test]
async fn while_nothing_can_be_seen_nothing_is_sent_again() {
    let world = world();
    world.inject(Operation::Put, 1, &Fault::LoseResponse);
    world.inject(Operation::Get, 5, &Fault::Refuse(Refusal::Unavailable));
    let etag = world.create("k", 1, 10).await.unwrap().etag;
    assert_eq!(world.puts(), 1);
    world.replace("k", etag, 2).await.expect("it was seen to have arrived");
}

#[tokio::test]
async fn equal_bytes_that_were_there_before_settle_nothing() {
    let world = world();
    let etag = put(&*world.store, "k", &value(1, 10)).await.etag;
    world.inject(Operation::Put, 1, &Fault::Refuse(Refusal::Timeout));
    let etag = world.replace("k", etag, 1).await.unwrap().etag;
    assert!(is_barred(&world.replace("k", etag, 2).await));
}

#[tokio::test]
async fn a_copy_whose_answer_is_lost_is_made_again_and_bars_its_key() {
    let world = world();
    put(&*world.store, "from", &value(1, 10)).await;
    world.inject(Operation::Copy, 1, &Fault::LoseResponse);
    let copied = world.with_time(world.store.copy("from", "k", IfAbsent)).await.unwrap();
    assert_eq!(world.measured.counts().for_operation(Operation::Copy).begun, 2);
    assert!(is_barred(&world.replace("k", copied.etag, 2).await));
    let other = world.with_time(world.store.copy("from", "from", IfMatch(ETag::new("another")))).await;
    assert!(matches!(other, Err(Error::Precondition)));
}

#[tokio::test]
async fn a_large_conditional_body_is_sent_once_and_its_lost_answer_is_told() {
    let world = world();
    let size = usize::try_from(MAX_RETRY_BYTES).unwrap() + 1;
    world.inject(Operation::Put, 1, &Fault::LoseResponse);
    assert!(matches!(world.create("k", 1, size).await, Err(Error::Timeout)));
    let etag = world.memory.head("k").await.unwrap().etag;
    assert_eq!(world.puts(), 1);
    assert!(is_barred(&world.replace("k", etag, 2).await));
    world.inject(Operation::Put, 1, &Fault::LoseResponse);
    let streamed = world.store.put("l", broken(None, &value(1, 10), None), provided(IfAbsent)).await;
    assert!(matches!(streamed, Err(Error::Timeout)), "{streamed:?}");
    assert!(is_barred(&world.store.put("l", value(2, 10).into(), PutOptions::default()).await));
}

#[tokio::test]
async fn a_small_body_of_known_length_is_gathered_and_sent_again() {
    let world = world();
    world.inject(Operation::Put, 1, &Fault::Refuse(Refusal::Timeout));
    let body = broken(Some(30_000), &value(1, 30_000), None);
    world.with_time(world.store.put("k", body, provided(IfAbsent))).await.unwrap();
    assert_eq!(read(&*world.memory, "k").await.unwrap(), value(1, 30_000));
    for (length, end) in [(5, None), (11, None), (11, Some(BodyError::Stalled))] {
        let body = broken(Some(length), &value(1, 10), end);
        assert!(matches!(world.store.put("l", body, provided(IfAbsent)).await, Err(Error::Body(_))), "{length}");
    }
    assert!(matches!(world.memory.head("l").await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_lost_unconditional_write_bars_conditions_alone() {
    let world = world();
    world.inject(Operation::Put, 1, &Fault::LoseResponse);
    let lost = world.store.put("k", value(1, 10).into(), PutOptions::default()).await;
    assert!(matches!(lost, Err(Error::Timeout)));
    let etag = put(&*world.store, "k", &value(2, 10)).await.etag;
    assert!(is_barred(&world.replace("k", etag.clone(), 3).await));
    world.clock.advance(IN_DOUBT_WINDOW);
    world.replace("k", etag, 3).await.unwrap();
}

#[tokio::test]
async fn a_write_that_is_dropped_while_it_is_under_way_leaves_its_key_in_doubt() {
    let world = world();
    world.inject(Operation::Put, 1, &Fault::Delay(Duration::from_mins(1)));
    let write = world.store.put("k", value(1, 10).into(), provided(IfAbsent));
    assert!(write.now_or_never().is_none());
    assert!(is_barred(&world.create("k", 2, 10).await));
    assert!(is_barred(&world.store.put("k", value(2, 10).into(), PutOptions::default()).await));
}

/// Returns a body whose chunks the test sends.
fn by_hand() -> (mpsc::UnboundedSender<Bytes>, ByteStream) {
    let (sender, receiver) = mpsc::unbounded_channel::<Bytes>();
    let chunks = stream::unfold(receiver, async |mut receiver| Some((Ok(receiver.recv().await?), receiver)));
    (sender, ByteStream::new(None, chunks.boxed()))
}

#[tokio::test]
async fn a_slow_stream_delays_no_other_write_and_its_condition_counts_at_its_end() {
    for is_overtaken in [false, true] {
        let world = world();
        let etag = put(&*world.store, "k", &value(0, 10)).await.etag;
        let (chunks, body) = by_hand();
        let upload = tokio::spawn({
            let (store, etag) = (world.store.clone(), etag.clone());
            async move { store.put("k", body, provided(IfMatch(etag))).await }
        });
        chunks.send("all but ".into()).unwrap();
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        if is_overtaken {
            let overtaking = world.store.put("k", value(1, 10).into(), provided(IfMatch(etag)));
            overtaking.now_or_never().expect("no write waits for a slow sender").unwrap();
        }
        chunks.send("the end".into()).unwrap();
        drop(chunks);
        let (uploaded, found) = (upload.await.unwrap(), read(&*world.memory, "k").await.unwrap());
        if is_overtaken {
            assert!(matches!(uploaded, Err(Error::Precondition)), "{uploaded:?}");
            assert_eq!(found, value(1, 10));
        } else {
            let etag = uploaded.unwrap().etag;
            assert_eq!(found, "all but the end");
            world.replace("k", etag, 2).await.expect("nothing is in doubt");
        }
    }
}

#[tokio::test]
async fn a_stream_does_not_wait_for_its_turn_for_ever() {
    let world = world();
    world.inject(Operation::Put, 1, &Fault::Delay(Duration::from_hours(1)));
    let mut slow = Box::pin(world.store.put("k", value(1, 10).into(), PutOptions::default()));
    assert!((&mut slow).now_or_never().is_none());
    let waiting = world.store.put("k", broken(None, &value(2, 100), None), PutOptions::default());
    let refused = world.with_time(waiting).await;
    assert!(matches!(refused, Err(Error::Throttled { .. })), "{refused:?}");
    assert!(larder_runtime::clock::Clock::monotonic(&*world.clock) < Duration::from_mins(1));
    world.clock.advance(Duration::from_hours(1));
    slow.await.unwrap();
    assert_eq!(read(&*world.memory, "k").await.unwrap(), value(1, 10));
}

#[tokio::test]
async fn a_stream_that_breaks_off_leaves_no_doubt() {
    let world = world();
    put(&*world.store, "k", &value(0, 10)).await;
    for body in [broken(None, &value(1, 100), Some(BodyError::Aborted)), broken(Some(2_000_000), &value(1, 10), None)] {
        let cut = world.store.put("k", body, PutOptions::default()).await;
        assert!(matches!(cut, Err(Error::Body(_))), "{cut:?}");
    }
    let (chunks, body) = by_hand();
    chunks.send("half".into()).unwrap();
    assert!(world.store.put("k", body, PutOptions::default()).now_or_never().is_none());
    let etag = world.memory.head("k").await.unwrap().etag;
    world.replace("k", etag, 2).await.expect("nothing is in doubt");
}

#[tokio::test]
async fn a_condition_that_does_not_hold_refuses_a_stream_before_it_is_sent() {
    let world = world();
    put(&*world.store, "k", &value(0, 10)).await;
    let puts = world.puts();
    let (_chunks, body) = by_hand();
    let refused = world.store.put("k", body, provided(IfAbsent)).now_or_never().expect("it does not wait for the body");
    assert!(matches!(refused, Err(Error::Precondition)));
    assert_eq!(world.puts(), puts);
}
