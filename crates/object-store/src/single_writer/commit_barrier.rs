//! Bodies with a gate before their last byte.
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
//! The gate holds back one byte instead of the last chunk: the receiver of the body may have to wait for space for a
//! chunk, held by other writes that wait at this gate.

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture, stream};

use crate::body::{BodyError, ByteStream};

/// The check before the last byte is sent.
pub type Gate = BoxFuture<'static, Result<(), BodyError>>;

struct Gated {
    body: ByteStream,
    held: Option<Bytes>,
    /// True if the last byte of `held` is the last of the body.
    is_over: bool,
    gate: Option<Gate>,
}

/// Returns `body`, whose last byte (or whose end, if it is empty) comes only after `gate` has succeeded. A body that
/// breaks off by itself never runs the gate.
pub fn gated(body: ByteStream, gate: impl Future<Output = Result<(), BodyError>> + Send + 'static) -> ByteStream {
    let length = body.length();
    let start = Gated { body, held: None, is_over: false, gate: Some(gate.boxed()) };
    ByteStream::new(length, stream::try_unfold(start, step))
}

async fn step(mut state: Gated) -> Result<Option<(Bytes, Gated)>, BodyError> {
    while !state.is_over {
        if let Some(chunk) = state.body.next().await.transpose()? {
            if let Some(before) = state.held.replace(chunk) {
                return Ok(Some((before, state)));
            }
        } else {
            state.is_over = true;
            if let Some(last) = state.held.as_mut().filter(|last| last.len() > 1) {
                let but_one = last.split_to(last.len() - 1);
                return Ok(Some((but_one, state)));
            }
        }
    }
    // After the gate nothing more comes.
    let Some(gate) = state.gate.take() else { return Ok(None) };
    gate.await?;
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
    async fn all_but_the_last_byte_comes_before_the_gate() {
        for (chunks, expected) in [
            (&["flo", "ur"][..], &["flo", "u", "r"][..]),
            (&["flour"], &["flou", "r"]),
            (&["flou", "r"], &["flou", "r"]),
            (&["", "f", ""], &["f"]),
            (&[], &[]),
        ] {
            let is_asked = Arc::new(AtomicBool::new(false));
            let asked = Arc::clone(&is_asked);
            let gate = async move {
                asked.store(true, Ordering::SeqCst);
                Ok(())
            };
            let mut body = gated(body(chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect()), gate);
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
        let closed = gated(body(vec![Ok("flour".into())]), async { Err(BodyError::Aborted) });
        assert!(matches!(closed.into_bytes(10).await, Err(BodyError::Aborted)));
        let broken = body(vec![Ok("flo".into()), Err(BodyError::Stalled)]);
        let broken = gated(broken, async { panic!("the gate is not asked") });
        assert!(matches!(broken.into_bytes(10).await, Err(BodyError::Stalled)));
    }
}
