//! Bodies with a gate before their last bytes.
//!
//! An object store cannot make an object of a body whose end it has not been given. So a stream that takes minutes needs
//! its key's turn, and its condition checked, only before its last chunk: until then others may write the key, and
//! nothing of this write has happened.
//!
//! ```text
//! A  PUT 2 GB If-Match x: all but the last chunk         B  PUT If-Match x: turn, look, write: 200
//!    turn; look: it is y. The body breaks off
//!    412, and nothing of it is stored
//! ```

use futures_util::{FutureExt, future::BoxFuture, stream};

use crate::storage::body::{BodyError, ByteStream};

/// What is asked before the last bytes go out.
pub type Gate = BoxFuture<'static, Result<(), BodyError>>;

struct Gated {
    body: ByteStream,
    held: Option<bytes::Bytes>,
    gate: Option<Gate>,
}

/// `body`, whose last chunk (or whose end, where it has no bytes) comes only once `gate` has let it. A body that breaks
/// off by itself never asks.
pub fn gated(body: ByteStream, gate: impl Future<Output = Result<(), BodyError>> + Send + 'static) -> ByteStream {
    let length = body.length();
    let start = Gated { body, held: None, gate: Some(gate.boxed()) };
    ByteStream::new(length, stream::try_unfold(start, step))
}

async fn step(mut state: Gated) -> Result<Option<(bytes::Bytes, Gated)>, BodyError> {
    loop {
        // The gate has been passed: nothing comes any more.
        let Some(gate) = state.gate.take() else { return Ok(None) };
        if let Some(chunk) = state.body.next().await.transpose()? {
            state.gate = Some(gate);
            if let Some(before) = state.held.replace(chunk) {
                return Ok(Some((before, state)));
            }
        } else {
            gate.await?;
            return Ok(state.held.take().map(|last| (last, state)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use bytes::Bytes;
    use futures_util::stream;

    use super::*;

    fn body(chunks: Vec<Result<Bytes, BodyError>>) -> ByteStream {
        ByteStream::new(None, stream::iter(chunks))
    }

    #[tokio::test]
    async fn all_but_the_last_chunk_comes_before_the_gate() {
        for chunks in [&["flo", "ur"][..], &["flour"], &[]] {
            let is_asked = Arc::new(AtomicBool::new(false));
            let asked = Arc::clone(&is_asked);
            let gate = async move {
                asked.store(true, Ordering::SeqCst);
                Ok(())
            };
            let mut body = gated(body(chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect()), gate);
            for (at, chunk) in chunks.iter().enumerate() {
                assert_eq!(body.next().await.expect("a chunk").expect("whole"), *chunk);
                assert_eq!(is_asked.load(Ordering::SeqCst), at + 1 == chunks.len());
            }
            assert!(body.next().await.is_none());
            assert!(is_asked.load(Ordering::SeqCst));
        }
    }

    #[tokio::test]
    async fn a_closed_gate_breaks_the_body_off_and_a_broken_body_asks_nobody() {
        let closed = gated(body(vec![Ok("flour".into())]), async { Err(BodyError::Aborted) });
        assert!(matches!(closed.into_bytes(10).await, Err(BodyError::Aborted)));
        let broken = body(vec![Ok("flo".into()), Err(BodyError::Stalled)]);
        let broken = gated(broken, async { panic!("nobody asks") });
        assert!(matches!(broken.into_bytes(10).await, Err(BodyError::Stalled)));
    }
}
