//! A body of known length, split into parts that are streamed in sequence without buffering.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::super::body::{BodyError, ByteStream};

/// A body that is being split.
#[derive(Debug, Clone)]
pub struct Slices(Arc<Mutex<Source>>);

#[derive(Debug)]
struct Source {
    body: ByteStream,
    /// Bytes received behind the end of the last part.
    rest: Bytes,
}

impl Slices {
    /// Splits `body`.
    pub fn new(body: ByteStream) -> Self {
        Self(Arc::new(Mutex::new(Source { body, rest: Bytes::new() })))
    }

    /// Returns the next part, of exactly `length` bytes; the previous one must have been read to its end.
    pub fn next(&self, length: u64) -> ByteStream {
        ByteStream::new(Some(length), Slice { source: self.clone(), left: length })
    }

    /// Returns whether the body has ended, as it must after its last part.
    pub async fn has_ended(&self) -> Result<bool, BodyError> {
        let mut more = self.next(u64::MAX);
        Ok(more.next().await.transpose()?.is_none())
    }
}

struct Slice {
    source: Slices,
    left: u64,
}

impl Stream for Slice {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let source = Arc::clone(&self.source.0);
        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
        let mut chunk = if source.rest.is_empty() {
            match ready!(source.body.poll_next_unpin(context)) {
                Some(Ok(chunk)) => chunk,
                ended => return Poll::Ready(ended),
            }
        } else {
            std::mem::take(&mut source.rest)
        };
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        if chunk.len() > wanted {
            source.rest = chunk.split_off(wanted);
        }
        self.left -= chunk.len() as u64;
        Poll::Ready(Some(Ok(chunk)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_have_their_length_wherever_chunks_end() {
        let body = ByteStream::from(Bytes::from_static(b"0123456789"));
        let slices = Slices::new(body);
        for (length, part) in [(4, &b"0123"[..]), (1, b"4"), (5, b"56789")] {
            assert_eq!(slices.next(length).into_bytes(10).await.expect("it is there"), part);
        }
        assert!(slices.has_ended().await.expect("nothing fails"));
    }

    #[tokio::test]
    async fn a_body_that_is_longer_is_not_over() {
        let slices = Slices::new(ByteStream::from(Bytes::from_static(b"0123456789")));
        let _ = slices.next(9).into_bytes(10).await;
        assert!(!slices.has_ended().await.expect("nothing fails"));
    }
}
