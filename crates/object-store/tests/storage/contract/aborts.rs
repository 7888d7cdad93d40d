//! Puts whose future is dropped before its end.

use std::{sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, future::poll_fn, stream};
use larder_object_store::{ByteStream, ObjectStore, PutOptions, embedded::INLINE_LIMIT};

use crate::values::{put, read, value};

type Store = Arc<dyn ObjectStore>;

/// Chunks of `bytes`, and then nothing for ever.
fn endless(bytes: &Bytes) -> ByteStream {
    let chunks: Vec<_> = bytes.chunks(50_000).map(|chunk| Ok(bytes.slice_ref(chunk))).collect();
    ByteStream::new(None, futures_util::StreamExt::chain(stream::iter(chunks), stream::pending()))
}

pub async fn a_put_that_is_dropped_between_two_chunks_leaves_the_old_object(store: Store) {
    for old in [value(1, 10), value(1, INLINE_LIMIT * 3)] {
        put(&*store, "k", &old).await;
        for at in [0, 1, INLINE_LIMIT, INLINE_LIMIT + 1, 500_000, 1_500_000] {
            let upload = store.put("k", endless(&value(2, at)), PutOptions::default());
            let ended = tokio::time::timeout(Duration::from_millis(30), upload).await;
            assert!(ended.is_err(), "a put ended before its body");
            assert!(read(&*store, "k").await.unwrap() == old, "dropped after {at} bytes");
        }
    }
    assert_eq!(crate::values::keys(&*store, "", 10).await, ["k"]);
}

/// Lets a future run for `polls` of its wake-ups, and drops it then.
async fn drop_after(polls: usize, mut future: impl Future<Output = ()> + Unpin) {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        future.poll_unpin(context)
    })
    .await;
}

pub async fn a_put_that_is_dropped_at_any_moment_leaves_an_object_whole(store: Store) {
    for size in [100, INLINE_LIMIT + 1, 1_000_000] {
        let mut old = value(3, size + 1);
        put(&*store, "k", &old).await;
        for polls in 0..25 {
            let new = value(100 + polls as u64, size);
            let body = crate::values::stream_of(&new);
            let upload = store.put("k", body, PutOptions::default()).map(drop);
            drop_after(polls, upload).await;
            // The dropped put happens now, later or never: before the next one in any case, since writes have an order.
            let found = read(&*store, "k").await.unwrap();
            assert!(found == old || found == new, "neither the old nor the new object after {polls} polls");
            old = value(200 + polls as u64, size);
            put(&*store, "k", &old).await;
            assert!(read(&*store, "k").await.unwrap() == old, "an acknowledged write was undone");
        }
    }
}
