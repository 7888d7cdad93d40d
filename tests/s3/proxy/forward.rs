//! Passing on one request or one answer, as it came or not quite.

use std::io;

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt},
    time::sleep,
};

use super::faults::{Pace, Place};
use super::framing::{Framing, Head};

/// Progress of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// To its end.
    Whole,
    /// To where it was to be cut.
    Cut,
    /// The sender closed the connection before the end of the message.
    SenderGone,
    /// The receiver takes no more.
    ReceiverGone,
}

/// Faults of a message on its way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Course {
    /// Position of the cut.
    pub(crate) cut: Option<Place>,
    /// Throttle of the message.
    pub(crate) pace: Option<Pace>,
}

/// Passes a message on, its head read already.
pub(crate) async fn forward(
    head: &Head,
    mut framing: Framing,
    from: &mut (impl AsyncBufRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    course: Course,
) -> Passed {
    let head = head.bytes();
    let left = course.cut.map(|place| match place {
        Place::Head(bytes) => bytes,
        Place::Body(bytes) => head.len() as u64 + bytes,
    });
    let mut gate = Gate { to, left, pace: course.pace };
    match gate.pass(head).await {
        Ok(true) => {}
        Ok(false) => return Passed::Cut,
        Err(_) => return Passed::ReceiverGone,
    }
    while !framing.is_over() {
        let bytes = match from.fill_buf().await {
            Ok([]) if framing == Framing::UntilClosed => return Passed::Whole,
            Ok([]) | Err(_) => return Passed::SenderGone,
            Ok(bytes) => bytes,
        };
        let taken = framing.take(bytes);
        let passed = gate.pass(&bytes[..taken]).await;
        from.consume(taken);
        match passed {
            Ok(true) => {}
            Ok(false) => return Passed::Cut,
            Err(_) => return Passed::ReceiverGone,
        }
    }
    Passed::Whole
}

/// Reads whatever comes until the sender ends the connection, and forgets it.
pub(crate) async fn drain(from: &mut (impl AsyncBufRead + Unpin)) {
    while let Ok(bytes @ [_, ..]) = from.fill_buf().await {
        let read = bytes.len();
        from.consume(read);
    }
}

struct Gate<'a, W> {
    to: &'a mut W,
    left: Option<u64>,
    pace: Option<Pace>,
}

impl<W: AsyncWrite + Unpin> Gate<'_, W> {
    /// Lets bytes pass; `false` once the place of the cut is reached.
    async fn pass(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let allowed =
            self.left.map_or(bytes.len(), |left| usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
        let allowed = &bytes[..allowed];
        match self.pace {
            None => self.to.write_all(allowed).await?,
            Some(pace) => {
                for piece in allowed.chunks(pace.bytes) {
                    self.to.write_all(piece).await?;
                    sleep(pace.every).await;
                }
            }
        }
        if let Some(left) = &mut self.left {
            *left -= allowed.len() as u64;
            return Ok(*left > 0);
        }
        Ok(true)
    }
}
