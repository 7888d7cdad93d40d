//! Every operation against every fault: the operation takes full effect or none, never half; the caller hears of it in
//! time and with an error that permits a retry; and once the fault is over, all is well.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use larder::storage::{ByteStream, Error, ListOptions, ObjectStore, Precondition, PutOptions, Result};
use tokio::time::timeout;

use crate::{
    behind_proxy::{Behind, stream},
    proxy::{Ending, Fault, Pace, Place, Refusal, Times},
};

/// Timeout for an operation, whatever happens: a few attempts, each with its limits.
const DEADLINE: Duration = Duration::from_secs(30);

/// Time after a fault until all must be well.
const RECOVERY: Duration = Duration::from_secs(1);

const OLD: &[u8] = b"what was there before";

/// An operation, each upon an object of its own that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Put,
    PutStream,
    PutParts,
    PutUnannounced,
    PutIfAbsent,
    Get,
    Head,
    Delete,
    DeleteMany,
    List,
    Copy,
}

const OPERATIONS: [Operation; 11] = [
    Operation::Put,
    Operation::PutStream,
    Operation::PutParts,
    Operation::PutUnannounced,
    Operation::PutIfAbsent,
    Operation::Get,
    Operation::Head,
    Operation::Delete,
    Operation::DeleteMany,
    Operation::List,
    Operation::Copy,
];

impl Operation {
    /// Returns the object's value after the operation; `None` when it is gone.
    fn outcome(self) -> Option<Vec<u8>> {
        match self {
            Self::Get | Self::Head | Self::List => Some(OLD.to_vec()),
            Self::Delete | Self::DeleteMany => None,
            Self::Copy => Some(b"the source".to_vec()),
            Self::Put | Self::PutIfAbsent => Some(b"new".to_vec()),
            Self::PutStream | Self::PutUnannounced => Some(vec![7; 1_500_000]),
            Self::PutParts => Some(vec![9; 6_000_000]),
        }
    }

    /// Returns the object's value before the operation.
    fn before(self) -> Option<Vec<u8>> {
        (self != Self::PutIfAbsent).then(|| OLD.to_vec())
    }

    async fn run(self, behind: &Behind, key: &str) -> Result<()> {
        let store = behind.store.as_ref();
        let new = self.outcome().unwrap_or_default();
        let put = async |body: ByteStream, precondition: Precondition| {
            store.put(key, body, PutOptions { precondition, ..PutOptions::default() }).await.map(drop)
        };
        match self {
            Self::Put => put(ByteStream::from(bytes::Bytes::from(new)), Precondition::None).await,
            Self::PutIfAbsent => {
                let condition = if behind.is_conditional { Precondition::IfAbsent } else { Precondition::None };
                put(ByteStream::from(bytes::Bytes::from(new)), condition).await
            }
            Self::PutStream | Self::PutParts => put(stream(&new, true), Precondition::None).await,
            Self::PutUnannounced => put(stream(&new, false), Precondition::None).await,
            Self::Get => behind.read(key).await.map(|bytes| assert_eq!(bytes, OLD, "a reader got something else")),
            Self::Head => store.head(key).await.map(|meta| assert_eq!(meta.size, OLD.len() as u64)),
            Self::Delete => store.delete(key, Precondition::None).await,
            Self::DeleteMany => store.delete_many(vec![key.to_owned()]).await,
            Self::List => {
                let options = ListOptions { prefix: key.to_owned(), start_after: None, limit: 10 };
                store.list(options).await.map(|page| assert_eq!(page.objects.len(), 1, "a list left something out"))
            }
            Self::Copy => store.copy("source", key, Precondition::None).await.map(drop),
        }
    }
}

/// Returns every fault, with a name.
fn faults() -> Vec<(&'static str, Fault)> {
    let pace = Pace { bytes: 20, every: Duration::from_millis(1) };
    vec![
        ("a delayed request", Fault::DelayRequest(Duration::from_millis(500))),
        ("a delayed answer", Fault::DelayAnswer(Duration::from_millis(500))),
        ("an answer that comes too late", Fault::DelayAnswer(Duration::from_secs(6))),
        ("a request cut in its head", Fault::CutRequest(Place::Head(20), Ending::Close)),
        ("a request reset in its head", Fault::CutRequest(Place::Head(20), Ending::Reset)),
        ("a request cut in its body", Fault::CutRequest(Place::Body(2), Ending::Close)),
        ("a request reset far in its body", Fault::CutRequest(Place::Body(700_000), Ending::Reset)),
        ("an answer cut in its head", Fault::CutAnswer(Place::Head(9), Ending::Close)),
        ("an answer reset in its head", Fault::CutAnswer(Place::Head(9), Ending::Reset)),
        ("an answer cut in its body", Fault::CutAnswer(Place::Body(5), Ending::Close)),
        ("a lost answer", Fault::LoseResponse(Ending::Close)),
        ("a lost answer and a reset", Fault::LoseResponse(Ending::Reset)),
        ("a plea for patience", Fault::Refuse(Refusal::slow_down().with_retry_after(1))),
        ("an early plea for patience", Fault::Refuse(Refusal::slow_down().before_the_body())),
        ("too many requests", Fault::Refuse(Refusal::too_many_requests())),
        ("an error inside", Fault::Refuse(Refusal::internal_error())),
        ("a trickle", Fault::TrickleAnswer(pace)),
        ("silence", Fault::NeverAnswer),
    ]
}

/// Returns the object's value, read past the proxy.
async fn standing(behind: &Behind, key: &str) -> Option<Vec<u8>> {
    match behind.read_past_proxy(key).await {
        Ok(bytes) => Some(bytes.to_vec()),
        Err(Error::NotFound) => None,
        Err(error) => panic!("the object store itself fails: {error:?}"),
    }
}

async fn hold(name: &str, fault: Fault, times: Times, operations: &[Operation]) {
    let behind = Behind::open().await;
    behind.put("source", b"the source").await.unwrap();
    for &operation in operations {
        let (case, key) = (format!("{operation:?} against {name}, {times:?}"), format!("k/{operation:?}"));
        if operation.before().is_some() {
            behind.put(&key, OLD).await.unwrap();
        }
        let armed = behind.proxy.arm(fault.clone(), times, |_| true);
        let ended = timeout(DEADLINE, operation.run(&behind, &key)).await;
        let ended = ended.unwrap_or_else(|_| panic!("{case}: it hangs"));
        assert!(armed.hits() > 0, "{case}: nothing met with it");
        armed.disarm();
        check(&behind, operation, &key, &ended, &case).await;
        let again = timeout(RECOVERY, behind.read("source")).await;
        assert!(matches!(again, Ok(Ok(_))), "{case}: not well afterwards: {again:?}");
    }
}

async fn check(behind: &Behind, operation: Operation, key: &str, ended: &Result<()>, case: &str) {
    let found = standing(behind, key).await;
    match ended {
        Ok(()) => assert!(found == operation.outcome(), "{case}: it was said to be done"),
        Err(Error::Timeout | Error::Throttled { .. } | Error::Unavailable(_) | Error::Body(_)) => {
            let is_right = found == operation.outcome() || found == operation.before();
            assert!(is_right, "{case}: {ended:?} left something else");
        }
        Err(error) => panic!("{case}: {error:?} is no word to come back on"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_operation_survives_any_fault_that_comes_once() {
    join_all(
        faults()
            .into_iter()
            .map(|(name, fault)| tokio::spawn(async move { hold(name, fault, Times::Next(1), &OPERATIONS).await })),
    )
    .await
    .into_iter()
    .for_each(|held| held.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_operation_survives_faults_that_last() {
    let lasting = ["a lost answer", "an error inside", "a plea for patience", "silence", "an answer reset in its head"];
    let chosen = faults().into_iter().filter(|(name, _)| lasting.contains(name));
    join_all(
        chosen.map(|(name, fault)| {
            tokio::spawn(async move { hold(name, fault, Times::UntilDisarmed, &OPERATIONS).await })
        }),
    )
    .await
    .into_iter()
    .for_each(|held| held.unwrap());
}

#[tokio::test]
async fn a_read_is_repeated_until_it_succeeds() {
    let behind = Behind::open().await;
    behind.put("k", OLD).await.unwrap();
    for (name, fault) in faults() {
        // Bytes that the caller already has cannot be taken back; and a caller waits for one timeout at most.
        if matches!(fault, Fault::CutAnswer(Place::Body(_), _) | Fault::NeverAnswer) || name.contains("too late") {
            continue;
        }
        let armed = behind.proxy.arm(fault, Times::Next(1), |_| true);
        assert_eq!(behind.read("k").await.unwrap_or_else(|error| panic!("{name}: {error:?}")), OLD);
        armed.disarm();
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_repeated() {
    let behind = Behind::open().await;
    behind.put("source", b"the source").await.unwrap();
    let faults = [
        Fault::LoseResponse(Ending::Close),
        Fault::NeverAnswer,
        Fault::Refuse(Refusal::internal_error()),
        Fault::Refuse(Refusal::gateway_says_unavailable()),
    ];
    for fault in faults {
        for (operation, method) in [
            (Operation::Put, "PUT"),
            (Operation::PutIfAbsent, "PUT"),
            (Operation::Copy, "PUT"),
            (Operation::Delete, "DELETE"),
            (Operation::DeleteMany, "POST"),
        ] {
            behind.put("k", OLD).await.unwrap();
            behind.proxy.take_requests();
            let armed = behind.proxy.arm(fault.clone(), Times::Next(1), |_| true);
            operation.run(&behind, "k").await.unwrap_err();
            armed.disarm();
            let sent = behind.proxy.take_requests();
            let writes = sent.iter().filter(|request| request.method == method).count();
            assert_eq!(writes, 1, "{operation:?}, {fault:?}");
        }
    }
}

#[tokio::test]
async fn an_upload_whose_completion_is_not_answered_is_not_completed_twice() {
    let behind = Behind::open().await;
    let completes = |request: &crate::proxy::Request| request.method == "POST" && request.query.contains("uploadId=");
    for fault in [Fault::LoseResponse(Ending::Close), Fault::Refuse(Refusal::internal_error())] {
        behind.proxy.take_requests();
        let armed = behind.proxy.arm(fault.clone(), Times::Next(1), completes);
        Operation::PutParts.run(&behind, "k").await.unwrap_err();
        armed.disarm();
        let sent = behind.proxy.take_requests();
        assert_eq!(sent.iter().filter(|request| completes(request)).count(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn an_upload_waits_while_the_object_store_asks_for_patience() {
    let behind = Behind::open().await;
    let armed =
        behind.proxy.arm(Fault::Refuse(Refusal::slow_down()), Times::Next(2), |request| request.method == "POST");
    Operation::PutParts.run(&behind, "k").await.unwrap();
    Operation::DeleteMany.run(&behind, "k").await.unwrap();
    assert_eq!(armed.hits(), 2);
}

/// Twice what the budget holds, all of it in the making at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_uploads_of_unknown_length_share_the_budget_without_waiting_for_each_other_for_ever() {
    let behind = Arc::new(Behind::open().await);
    let body = Bytes::from(vec![5; 17 << 20]);
    let uploads = (0..8).map(|number| {
        let (behind, body) = (Arc::clone(&behind), body.clone());
        tokio::spawn(async move {
            let key = format!("k{number}");
            behind.store.put(&key, stream(&body, false), PutOptions::default()).await.unwrap();
            assert_eq!(behind.store.head(&key).await.unwrap().size, body.len() as u64);
        })
    });
    let done = timeout(DEADLINE * 2, join_all(uploads)).await.expect("they end");
    for upload in done {
        upload.unwrap();
    }
}

#[tokio::test]
async fn without_a_listener_operations_fail_in_time_and_recover_later() {
    let behind = Behind::open().await;
    behind.put("k", OLD).await.unwrap();
    behind.proxy.refuse_connections().await;
    behind.proxy.end_connections().await;
    for operation in OPERATIONS {
        let ended = timeout(DEADLINE, operation.run(&behind, "k")).await.expect("it ends");
        assert!(matches!(ended, Err(Error::Unavailable(_) | Error::Timeout)), "{operation:?}: {ended:?}");
    }
    behind.proxy.accept_connections().await;
    assert!(matches!(timeout(RECOVERY, behind.read("k")).await, Ok(Ok(_))));
}

#[tokio::test]
async fn connections_that_ended_while_they_waited_cost_nothing() {
    let behind = Behind::open().await;
    for ending in [Ending::Close, Ending::Reset] {
        for turn in 0..10 {
            behind.put("k", format!("{turn}").as_bytes()).await.unwrap();
            behind.proxy.end_idle_connections(ending).await;
            assert_eq!(behind.read("k").await.unwrap(), format!("{turn}"));
            behind.proxy.end_idle_connections(ending).await;
        }
    }
}
