//! A client's socket, which reports its activity and closes without a reset.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{connection_timeouts::ConnectionActivity, handler::replacement_for};

/// Maximum number of bytes drained after the response. Larger bodies may see a reset instead of their response.
const MAX_LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Bytes drained at a time.
const LINGER_CHUNK_BYTES: usize = 16 * 1024;

/// A client's socket, or the stream inside its encryption.
#[derive(Debug)]
pub(super) struct Socket<S> {
    stream: S,
    activity: Arc<ConnectionActivity>,
    closing: Closing,
    /// Bytes sent of the response that replaces hyper's own.
    refused: usize,
}

/// Progress of closing the connection.
#[derive(Debug, Clone, Copy)]
enum Closing {
    Open,
    Lingering { discarded: usize },
    Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn new(stream: S, activity: Arc<ConnectionActivity>) -> Self {
        Self { stream, activity, closing: Closing::Open, refused: 0 }
    }

    fn poll_linger(&mut self, context: &mut Context<'_>, mut discarded: usize) -> Poll<()> {
        while discarded < MAX_LINGER_BYTES {
            let mut chunk = [MaybeUninit::uninit(); LINGER_CHUNK_BYTES];
            let mut chunk = ReadBuf::uninit(&mut chunk);
            let read = Pin::new(&mut self.stream).poll_read(context, &mut chunk);
            self.closing = Closing::Lingering { discarded };
            match ready!(read) {
                Ok(()) if !chunk.filled().is_empty() => discarded += chunk.filled().len(),
                // The client has closed, too, or is gone: it sends no more.
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    /// Returns the response to send in place of `bytes`, if these are hyper's own.
    fn refusal(&self, bytes: &[u8]) -> Option<&'static [u8]> {
        self.activity.is_reading_head().then(|| replacement_for(bytes)).flatten()
    }

    /// Sends `answer` in place of `length` bytes of hyper's.
    fn poll_refuse(&mut self, context: &mut Context<'_>, answer: &[u8], length: usize) -> Poll<io::Result<usize>> {
        while let rest @ [_, ..] = &answer[self.refused..] {
            let written = Pin::new(&mut self.stream).poll_write(context, rest);
            self.wrote(&written);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.refused += count,
            }
        }
        Poll::Ready(Ok(length))
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        self.activity.sending(written.is_pending());
        if let Poll::Ready(Ok(1..)) = written {
            self.activity.written();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.read();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(answer) = self.refusal(bytes) {
            return self.poll_refuse(context, answer, bytes.len());
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [head] = slices
            && let Some(answer) = self.refusal(head)
        {
            return self.poll_refuse(context, answer, head.len());
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // TLS buffers the bytes that the socket does not take yet; a plain socket is always flushed.
        self.activity.sending(flushed.is_pending());
        flushed
    }

    /// Sends the end of the stream, then drains the bytes that the client still sends, up to a limit (the activity limits
    /// the time).
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let discarded = match self.closing {
            Closing::Closed => return Poll::Ready(Ok(())),
            Closing::Lingering { discarded } => discarded,
            Closing::Open => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
                if !self.activity.closing() {
                    self.closing = Closing::Closed;
                    return Poll::Ready(Ok(()));
                }
                0
            }
        };
        ready!(self.poll_linger(context, discarded));
        self.closing = Closing::Closed;
        Poll::Ready(Ok(()))
    }
}
