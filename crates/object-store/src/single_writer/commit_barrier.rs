//! Bodies with a barrier before their last byte.
//!
//! An object store cannot create an object before it has received the end of its body. So a stream that takes minutes
//! needs the lock of its key, and the check of its condition, only before its last byte: until then others may write
//! the key, and nothing of this write has taken effect.
//!
//! ```text
//! A  PUT 2 GB If-Match x: all but the last byte          B  PUT If-Match x: turn, look, write: 200
//!    turn; look: it is y. The body breaks off
//!    412, and nothing of it is stored
//! ```
//!
//! The barrier holds back one byte instead of the last chunk: the receiver of the body may have to wait for space for a
//! chunk, held by other writes that wait at this barrier.

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture, stream};

use crate::body::{BodyError, ByteStream};

/// The check before the last byte is sent.
pub type Barrier = BoxFuture<'static, Result<(), BodyError>>;

struct HeldBody {
    body: ByteStream,
    held: Option<Bytes>,
    /// True if the last byte of `held` is the last of the body.
    is_at_end: bool,
    barrier: Option<Barrier>,
}

/// Returns `body`, whose last byte (or whose end, if it is empty) comes only after `barrier` has succeeded. A body that
/// breaks off by itself never runs the barrier.
pub fn hold_last_byte_until(
    body: ByteStream,
    barrier: impl Future<Output = Result<(), BodyError>> + Send + 'static,
) -> ByteStream {
    let length = body.length();
    let start = HeldBody { body, held: None, is_at_end: false, barrier: Some(barrier.boxed()) };
    ByteStream::new(length, stream::try_unfold(start, next_chunk))
}

async fn next_chunk(mut state: HeldBody) -> Result<Option<(Bytes, HeldBody)>, BodyError> {
    while !state.is_at_end {
        if let Some(chunk) = state.body.next().await.transpose()? {
            if let Some(before) = state.held.replace(chunk) {
                return Ok(Some((before, state)));
            }
        } else {
            state.is_at_end = true;
            if let Some(last) = state.held.as_mut().filter(|last| last.len() > 1) {
                let all_but_last = last.split_to(last.len() - 1);
                return Ok(Some((all_but_last, state)));
            }
        }
    }
    // After the barrier nothing more comes.
    let Some(barrier) = state.barrier.take() else { return Ok(None) };
    barrier.await?;
    Ok(state.held.take().map(|last| (last, state)))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use futures_util::stream;

    fn body(chunks: Vec<Result<Bytes, BodyError>>) -> ByteStream {
        ByteStream::new(None, stream::iter(chunks))
    }

    #[tokio::test]
    async fn all_but_the_last_byte_comes_before_the_barrier() {
        for (chunks, expected) in [
            (&["flo", "ur"][..], &["flo", "u", "r"][..]),
            (&["flour"], &["flou", "r"]),
            (&["flou", "r"], &["flou", "r"]),
            (&["", "f", ""], &["f"]),
            (&[], &[]),
        ] {
            let is_asked = Arc::new(AtomicBool::new(false));
            let asked = Arc::clone(&is_asked);
            let barrier = async move {
                asked.store(true, Ordering::SeqCst);
                Ok(())
            };
            let mut body =
                hold_last_byte_until(body(chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect()), barrier);
            for (at, chunk) in expected.iter().enumerate() {
                assert_eq!(body.next().await.expect("a chunk").expect("whole"), *chunk);
                assert_eq!(is_asked.load(Ordering::SeqCst), at + 1 == expected.len(), "{chunks:?}");
            }
            assert!(body.next().await.is_none());
            assert!(is_asked.load(Ordering::SeqCst));
        }
    }

    #[tokio::test]
    async fn a_closed_barrier_ends_the_body_and_a_broken_body_never_reaches_it() {
        let closed = hold_last_byte_until(body(vec![Ok("flour".into())]), async { Err(BodyError::Aborted) });
        assert!(matches!(closed.into_bytes(10).await, Err(BodyError::Aborted)));
        let broken = body(vec![Ok("flo".into()), Err(BodyError::Stalled)]);
        let broken = hold_last_byte_until(broken, async { panic!("the barrier is not asked") });
        assert!(matches!(broken.into_bytes(10).await, Err(BodyError::Stalled)));
    }
}
