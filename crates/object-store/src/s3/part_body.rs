//! Bodies of the parts of a multipart upload: buffered in memory, or streamed from a body of known length.
//!
//! A part is buffered if the length of the body is unknown, or if a hash precedes it. The memory budget is charged as
//! the bytes arrive. Streamed parts are read in sequence.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use crate::{BodyError, ByteStream, Error, Lease, MemoryBudget, Result, body::ContentLengthCheck};

/// A buffered part of a body, with the lease of its memory.
#[derive(Debug)]
pub struct Part {
    /// The bytes.
    pub bytes: Bytes,
    /// True if it is the last part.
    pub is_last: bool,
    _lease: Lease,
}

/// Buffer for a body, one part at a time.
#[derive(Debug)]
pub struct PartBuffer {
    body: ByteStream,
    announced: ContentLengthCheck,
    /// Received bytes of the next part.
    rest: Bytes,
}

impl PartBuffer {
    /// Buffers `body`.
    pub fn new(body: ByteStream) -> Self {
        let announced = ContentLengthCheck::new(body.length());
        Self { body, announced, rest: Bytes::new() }
    }

    /// Returns the next `size` bytes, or the rest of the body if that is less. Charges `budget` as the bytes arrive, so
    /// that a body holds only the memory of the bytes received.
    pub async fn next_part(&mut self, size: u64, budget: &Arc<MemoryBudget>) -> Result<Part> {
        let expected = self.announced.remaining().map_or(size, |left| size.min(left + self.rest.len() as u64));
        let (size, expected) =
            (usize::try_from(size).unwrap_or(usize::MAX), usize::try_from(expected).unwrap_or(usize::MAX));
        let lease = budget.lease();
        let mut buffered = BytesMut::new();
        let mut next = Some(std::mem::take(&mut self.rest));
        while let Some(mut chunk) = next {
            let is_full = buffered.len() + chunk.len() > size;
            if is_full {
                self.rest = chunk.split_off(size - buffered.len());
            }
            lease.append(&mut buffered, &chunk, expected).await.map_err(Error::Body)?;
            if is_full {
                return Ok(Part { bytes: buffered.freeze(), is_last: false, _lease: lease });
            }
            next = self.next(&lease).await?;
        }
        Ok(Part { bytes: buffered.freeze(), is_last: true, _lease: lease })
    }

    async fn next(&mut self, lease: &Lease) -> Result<Option<Bytes>> {
        let chunk = lease.next(&mut self.body).await.transpose().map_err(Error::Body)?;
        match &chunk {
            Some(chunk) => self.announced.add(chunk.len()).map_err(Error::Body)?,
            None => self.announced.finish().map_err(Error::Body)?,
        }
        Ok(chunk)
    }
}

/// A body of known length, split into streamed parts.
#[derive(Debug, Clone)]
pub struct PartStream(Arc<Mutex<SharedBody>>);

#[derive(Debug)]
struct SharedBody {
    body: ByteStream,
    /// Received bytes of the next part.
    rest: Bytes,
}

impl PartStream {
    /// Splits `body`.
    pub fn new(body: ByteStream) -> Self {
        Self(Arc::new(Mutex::new(SharedBody { body, rest: Bytes::new() })))
    }

    /// Returns the next part, of exactly `length` bytes; the previous one must have been read to its end.
    pub fn next_part(&self, length: u64) -> ByteStream {
        ByteStream::new(Some(length), StreamedPart { source: self.clone(), left: length })
    }

    /// Returns whether the body has ended. It must have after its last part.
    pub async fn has_ended(&self) -> std::result::Result<bool, BodyError> {
        let mut more = self.next_part(u64::MAX);
        Ok(more.next().await.transpose()?.is_none())
    }
}

struct StreamedPart {
    source: PartStream,
    left: u64,
}

impl Stream for StreamedPart {
    type Item = std::result::Result<Bytes, BodyError>;

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
    use larder_runtime::clock::SystemClock;

    fn budget() -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget::new(1 << 20, Arc::new(SystemClock)))
    }

    fn chunks(sizes: &[usize]) -> ByteStream {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        ByteStream::new(None, futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_comes_in_parts_of_the_requested_size() {
        let budget = budget();
        let mut buffer = PartBuffer::new(chunks(&[100_000, 1, 99_999, 50]));
        let mut sizes = Vec::new();
        loop {
            let part = buffer.next_part(80_000, &budget).await.expect("a part");
            sizes.push(part.bytes.len());
            if part.is_last {
                break;
            }
        }
        assert_eq!(sizes, [80_000, 80_000, 40_050]);
    }

    #[tokio::test]
    async fn a_part_holds_only_the_memory_of_the_received_bytes() {
        let budget = budget();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let chunks = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        let mut buffer = PartBuffer::new(ByteStream::new(None, chunks));
        let mut part = Box::pin(buffer.next_part(8 << 20, &budget));
        for _ in 0..7 {
            sender.send(Ok(Bytes::from(vec![b'x'; 10_000]))).expect("the body is read");
        }
        assert!(futures_util::poll!(&mut part).is_pending());
        assert!(budget.held() <= 128 << 10, "{} bytes are held for 70,000", budget.held());
        drop(part);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn no_more_than_a_part_is_reserved() {
        let budget = budget();
        let mut buffer = PartBuffer::new(chunks(&[10_000; 30]));
        let part = buffer.next_part(200_000, &budget).await.expect("a part");
        assert_eq!(part.bytes.len(), 200_000);
        assert_eq!(budget.held(), 200_000 - (64 << 10), "64 KiB are free");
    }

    #[tokio::test]
    async fn parts_have_their_length_wherever_chunks_end() {
        let body = ByteStream::from(Bytes::from_static(b"0123456789"));
        let stream = PartStream::new(body);
        for (length, part) in [(4, &b"0123"[..]), (1, b"4"), (5, b"56789")] {
            assert_eq!(stream.next_part(length).into_bytes(10).await.expect("a part"), part);
        }
        assert!(stream.has_ended().await.expect("nothing fails"));
    }

    #[tokio::test]
    async fn a_longer_body_has_not_ended() {
        let stream = PartStream::new(ByteStream::from(Bytes::from_static(b"0123456789")));
        let _ = stream.next_part(9).into_bytes(10).await;
        assert!(!stream.has_ended().await.expect("nothing fails"));
    }
}
