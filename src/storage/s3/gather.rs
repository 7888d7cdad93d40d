//! Bodies, or parts of them, gathered in memory before they are sent: when their length is unknown, or when a hash of them
//! goes in front. All uploads share one budget, and wait for each other when it is spent.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::{
    announced::AnnouncedLength,
    body::ByteStream,
    error::{Error, Result},
};

/// Bytes that every upload may gather without asking: most bodies are smaller.
const FREE_BYTES: usize = 64 * 1024;

/// Bytes that one permit stands for.
const PERMIT_BYTES: u64 = 64 * 1024;

/// The memory for bodies.
#[derive(Debug)]
pub struct Budget {
    permits: Arc<Semaphore>,
    /// The most permits one upload can hold.
    most: u32,
}

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Self {
        let most = u32::try_from(bytes / PERMIT_BYTES).unwrap_or(u32::MAX).max(1);
        Self { permits: Arc::new(Semaphore::new(most as usize)), most }
    }

    /// Waits until `bytes` are to be had. An upload holds one such lot at a time, so that none waits for itself.
    async fn lot(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let wanted = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).min(self.most);
        let lot = Arc::clone(&self.permits).acquire_many_owned(wanted).await;
        lot.map_err(|_| Error::Unavailable("uploads have ended".into()))
    }
}

/// A piece of a body in memory, and its share of the budget.
#[derive(Debug)]
pub struct Piece {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether the body ends here.
    pub is_last: bool,
    _lot: Option<OwnedSemaphorePermit>,
}

/// A body that is being gathered, piece by piece.
#[derive(Debug)]
pub struct Gathering {
    body: ByteStream,
    announced: AnnouncedLength,
    /// What came behind the last piece.
    rest: Bytes,
}

impl Gathering {
    /// Gathers `body`.
    pub fn new(body: ByteStream) -> Self {
        let announced = AnnouncedLength::new(body.length());
        Self { body, announced, rest: Bytes::new() }
    }

    /// The next `size` bytes, or the rest of the body if that is less.
    pub async fn piece(&mut self, size: u64, budget: &Budget) -> Result<Piece> {
        let room = self.announced.left().map_or(size, |left| size.min(left + self.rest.len() as u64));
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let mut gathered = BytesMut::new();
        let mut lot = None;
        let mut next = Some(std::mem::take(&mut self.rest));
        while let Some(mut chunk) = next {
            if gathered.len() + chunk.len() > FREE_BYTES.min(size) && lot.is_none() {
                lot = Some(budget.lot(room).await?);
                // Once for all of it: room that grows by doubling is there twice while it is moved, and leaves the allocator
                // with a gap of every size, which is more than the budget speaks of.
                gathered.reserve(usize::try_from(room).unwrap_or(usize::MAX).saturating_sub(gathered.len()));
            }
            if gathered.len() + chunk.len() > size {
                self.rest = chunk.split_off(size - gathered.len());
                gathered.extend_from_slice(&chunk);
                return Ok(Piece { bytes: gathered.freeze(), is_last: false, _lot: lot });
            }
            gathered.extend_from_slice(&chunk);
            next = self.next().await?;
        }
        Ok(Piece { bytes: gathered.freeze(), is_last: true, _lot: lot })
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.body.next().await.transpose().map_err(Error::Body)?;
        match &chunk {
            Some(chunk) => self.announced.add(chunk.len()).map_err(Error::Body)?,
            None => self.announced.finish().map_err(Error::Body)?,
        }
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(sizes: &[usize]) -> ByteStream {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        ByteStream::new(None, futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_comes_in_pieces_of_the_size_that_is_asked_for() {
        let budget = Budget::new(1 << 20);
        let mut gathering = Gathering::new(chunks(&[100_000, 1, 99_999, 50]));
        let mut sizes = Vec::new();
        loop {
            let piece = gathering.piece(80_000, &budget).await.expect("it is there");
            sizes.push(piece.bytes.len());
            if piece.is_last {
                break;
            }
        }
        assert_eq!(sizes, [80_000, 80_000, 40_050]);
    }

    #[tokio::test]
    async fn an_upload_waits_while_others_have_spent_the_budget_unless_it_is_small() {
        let budget = Budget::new(1 << 20);
        let held = Gathering::new(chunks(&[1 << 20])).piece(1 << 20, &budget).await.expect("it is there");
        let small = Gathering::new(chunks(&[1000])).piece(1 << 20, &budget).await.expect("it is there");
        assert_eq!(small.bytes.len(), 1000);
        let mut waiting = Gathering::new(chunks(&[1 << 20]));
        let mut waiting = Box::pin(waiting.piece(1 << 20, &budget));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(held);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn of_the_budget_no_more_is_held_than_the_body_has() {
        let budget = Budget::new(1 << 20);
        let held = Gathering::new(chunks(&[900_000])).piece(900_000, &budget).await.expect("it is there");
        let chunk = Bytes::from(vec![b'x'; 100_000]);
        let mut short = Gathering::new(ByteStream::from(chunk));
        let piece = futures_util::poll!(Box::pin(short.piece(1 << 20, &budget)));
        assert!(matches!(piece, std::task::Poll::Ready(Ok(piece)) if piece.is_last));
        drop(held);
    }

    #[tokio::test]
    async fn room_is_made_once_and_for_no_more_than_a_piece() {
        let budget = Budget::new(1 << 20);
        let mut gathering = Gathering::new(chunks(&[10_000; 30]));
        let piece = gathering.piece(200_000, &budget).await.expect("it is there");
        let room = piece.bytes.try_into_mut().expect("nobody else has it");
        assert_eq!((room.len(), room.capacity()), (200_000, 200_000));
    }
}
