//! Tests of the budget with competing leases.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{poll, stream};

use super::{accounts::FREE_BYTES, *};
use crate::{BodyError, ByteStream};
use larder_runtime::{
    clock::{ManualClock, Timestamp},
    telemetry::{
        Ledger,
        work::{CalledBy, Work, is_called_by},
    },
};

const MIB: u64 = 1 << 20;

fn budget(limit: u64) -> (Arc<MemoryBudget>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    (Arc::new(MemoryBudget::new(limit, clock.clone())), clock)
}

/// Returns a lease of the caller with this name.
async fn lease_of(budget: &Arc<MemoryBudget>, name: &str) -> Lease {
    let mut leased = pin!(async {
        is_called_by(CalledBy::User(larder_runtime::telemetry::Party::named(name).expect("a name")));
        budget.lease()
    });
    let work = Work::new(http::HeaderValue::from_static("a-1"), Arc::<Ledger>::default(), None);
    work.around(leased.as_mut()).await
}

/// Returns whether a lease is granted `bytes` more at once.
async fn grows(lease: &Lease, bytes: u64) -> bool {
    matches!(poll!(pin!(lease.grow(bytes))), Poll::Ready(Ok(())))
}

#[tokio::test]
async fn what_is_small_never_waits_and_all_is_given_back() {
    let (budget, _clock) = budget(MIB);
    let all = lease_of(&budget, "alice").await;
    assert!(grows(&all, 4 * MIB).await, "it is the oldest");
    for _ in 0..100 {
        assert!(grows(&lease_of(&budget, "alice").await, FREE_BYTES).await);
    }
    assert_eq!(budget.held(), 4 * MIB - FREE_BYTES);
    all.shrink_to(MIB);
    assert_eq!((budget.held(), all.bytes()), (MIB - FREE_BYTES, MIB));
    drop(all);
    assert_eq!(budget.held(), 0);
}

#[tokio::test]
async fn a_caller_that_asks_for_everything_leaves_half_to_others() {
    let (budget, _clock) = budget(16 * MIB);
    let mut leases = Vec::new();
    for _ in 0..20 {
        let lease = lease_of(&budget, "mallory").await;
        let _ = grows(&lease, MIB).await;
        leases.push(lease);
    }
    assert!(budget.held() <= 8 * MIB, "{}", budget.held());
    let others = lease_of(&budget, "alice").await;
    assert!(grows(&others, 8 * MIB).await);
}

#[tokio::test]
async fn leases_that_grow_beside_each_other_never_wait_for_each_other_for_ever() {
    let (budget, _clock) = budget(16 * MIB);
    let names = ["alice", "bob", "carol"];
    let mut growing: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for number in 0..60 {
        let lease = lease_of(&budget, names[number % names.len()]).await;
        growing.push(Box::pin(async move {
            // Like parts of uploads: none is usable before it is complete.
            for _ in 0..16 {
                lease.grow(MIB / 2).await.expect("no time passes");
                tokio::task::yield_now().await;
            }
        }));
    }
    let mut rounds = 0;
    while !growing.is_empty() {
        rounds += 1;
        assert!(rounds < 10_000, "{} leases wait for each other, {} bytes are held", growing.len(), budget.held());
        let mut left = Vec::new();
        for mut lease in growing {
            if poll!(lease.as_mut()).is_pending() {
                left.push(lease);
            }
        }
        growing = left;
        // Otherwise the task would use up the budget that tokio gives it between two pauses.
        tokio::task::yield_now().await;
        assert!(budget.held() <= 24 * MIB, "the oldest takes no more beyond the limit than it needs");
    }
    assert_eq!(budget.held(), 0);
}

#[tokio::test]
async fn a_lease_that_gives_up_waiting_leaves_nothing_behind() {
    let (budget, clock) = budget(MIB);
    let oldest = lease_of(&budget, "alice").await;
    assert!(grows(&oldest, MIB + FREE_BYTES).await, "it is the oldest");
    let waits = lease_of(&budget, "bob").await;
    {
        let mut waiting = pin!(waits.grow(MIB));
        assert!(poll!(waiting.as_mut()).is_pending());
    }
    {
        let mut waiting = pin!(waits.grow(MIB));
        assert!(poll!(waiting.as_mut()).is_pending());
        clock.advance(Duration::from_mins(1));
        assert!(matches!(poll!(waiting.as_mut()), Poll::Ready(Err(BodyError::NoMemory))));
    }
    {
        let mut waiting = pin!(waits.grow(MIB));
        assert!(poll!(waiting.as_mut()).is_pending());
        // It is granted, and is dropped before it is told.
        drop(oldest);
    }
    assert_eq!(budget.held(), MIB - FREE_BYTES);
    drop(waits);
    assert_eq!(budget.held(), 0);
    let left = format!("{budget:?}");
    assert!(left.contains("live: {}, callers: {}, waiting: {}"), "{left}");
}

/// Returns a body that stalls after a mebibyte.
fn stalled() -> ByteStream {
    let first = stream::iter([Ok(Bytes::from(vec![b'x'; 1 << 20]))]);
    ByteStream::new(None, futures_util::StreamExt::chain(first, stream::pending()))
}

/// Returns whether waiting for more of `body` fails within less than a minute because the client is too slow.
async fn is_too_slow(lease: &Lease, body: &mut ByteStream, clock: &ManualClock) -> bool {
    let mut next = Box::pin(lease.next(body));
    for _ in 0..10 {
        if let Poll::Ready(ended) = poll!(next.as_mut()) {
            return matches!(ended, Some(Err(BodyError::TooSlow)));
        }
        clock.advance(Duration::from_secs(5));
    }
    false
}

#[tokio::test]
async fn a_client_that_sends_too_slowly_is_ended_only_while_others_wait_for_what_it_holds() {
    let (budget, clock) = budget(MIB);
    let (slow, mut body) = (lease_of(&budget, "mallory").await, stalled());
    let chunk = slow.next(&mut body).await.expect("a chunk").expect("it is there");
    assert!(grows(&slow, chunk.len() as u64 + FREE_BYTES).await, "it is the oldest");
    assert!(!is_too_slow(&slow, &mut body, &clock).await, "no other lease waits for what it holds");
    let other = lease_of(&budget, "alice").await;
    let mut waiting = Box::pin(other.grow(MIB));
    assert!(poll!(waiting.as_mut()).is_pending());
    assert!(is_too_slow(&slow, &mut body, &clock).await);
    drop(slow);
    assert!(matches!(poll!(waiting.as_mut()), Poll::Ready(Ok(()))), "it is free now");
}

#[tokio::test]
async fn a_client_that_sends_too_slowly_is_ended_while_its_own_caller_waits_for_its_share() {
    let (budget, clock) = budget(16 * MIB);
    let oldest = lease_of(&budget, "alice").await;
    assert!(grows(&oldest, MIB).await);
    let (slow, mut body) = (lease_of(&budget, "mallory").await, stalled());
    slow.next(&mut body).await.expect("a chunk").expect("it is there");
    assert!(grows(&slow, 8 * MIB + FREE_BYTES).await);
    assert!(!is_too_slow(&slow, &mut body, &clock).await, "no other lease waits for what it holds");
    let next = lease_of(&budget, "mallory").await;
    let mut waiting = Box::pin(next.grow(MIB));
    assert!(poll!(waiting.as_mut()).is_pending());
    assert!(is_too_slow(&slow, &mut body, &clock).await);
}

#[tokio::test]
async fn a_client_is_not_blamed_for_time_in_which_it_held_nothing_of_others() {
    let (budget, clock) = budget(MIB);
    let slow = lease_of(&budget, "mallory").await;
    assert!(grows(&slow, FREE_BYTES).await);
    clock.advance(Duration::from_mins(1));
    assert!(grows(&slow, MIB).await, "it is the oldest");
    let waits = lease_of(&budget, "bob").await;
    let mut waiting = Box::pin(waits.grow(MIB / 2 + FREE_BYTES));
    let other = lease_of(&budget, "alice").await;
    let mut others = Box::pin(other.grow(MIB));
    assert!(poll!(waiting.as_mut()).is_pending() && poll!(others.as_mut()).is_pending());
    slow.moved(0).expect("what was free came slowly, and no more");
    clock.advance(Duration::from_secs(30));
    assert!(matches!(slow.moved(0), Err(BodyError::TooSlow)));
    drop(slow);
    assert!(matches!(poll!(waiting.as_mut()), Poll::Ready(Ok(()))));
    assert!(poll!(others.as_mut()).is_pending());
    waits.moved(0).expect("it was the budget that took the time");
    clock.advance(Duration::from_secs(5));
    assert!(matches!(waits.moved(0), Err(BodyError::TooSlow)));
}

#[tokio::test]
async fn what_waits_for_the_whole_budget_lets_no_younger_lease_pass() {
    let (budget, _clock) = budget(8 * MIB);
    let oldest = lease_of(&budget, "alice").await;
    assert!(grows(&oldest, 6 * MIB + FREE_BYTES).await);
    let (large, small) = (lease_of(&budget, "bob").await, lease_of(&budget, "carol").await);
    let mut waiting = Box::pin(large.grow(4 * MIB + FREE_BYTES));
    assert!(poll!(waiting.as_mut()).is_pending());
    let mut younger = Box::pin(small.grow(MIB + FREE_BYTES));
    assert!(poll!(younger.as_mut()).is_pending(), "it takes what the older one waits for");
    drop(oldest);
    assert!(poll!(waiting.as_mut()).is_ready() && poll!(younger.as_mut()).is_ready());
}

#[tokio::test]
async fn what_is_gathered_is_held_as_it_arrives() {
    let (budget, _clock) = budget(16 * MIB);
    let first = stream::iter([Ok(Bytes::from(vec![b'x'; 70_000]))]);
    let body = ByteStream::new(Some(8 * MIB), futures_util::StreamExt::chain(first, stream::pending()));
    let lease = lease_of(&budget, "alice").await;
    let mut gathering = pin!(lease.gather(body, 8 * MIB));
    assert!(poll!(gathering.as_mut()).is_pending());
    assert!(lease.bytes() <= 128 << 10, "{} bytes are held for 70,000", lease.bytes());
}
