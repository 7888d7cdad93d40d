//! A client connection down to the bytes: what hyper's client would refuse to send, a test must be able to.

use std::{io, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::reply::Reply;

/// The longest a test waits for bytes: a server that hangs must fail the test, not the run.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// Most header fields in a reply.
const MAX_FIELDS: usize = 64;

/// A connection to a gateway.
pub(crate) struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    unread: BytesMut,
}

/// Status line and header fields of a reply.
#[derive(Debug, Clone)]
pub(crate) struct ReplyHead {
    /// The status.
    pub(crate) status: u16,
    /// The fields, in order, names in lower case.
    pub(crate) fields: Vec<(String, String)>,
}

impl ReplyHead {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl Connection {
    /// Connects.
    #[expect(clippy::disallowed_methods, reason = "there is one address")]
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        stream.set_nodelay(true).expect("a socket has the option");
        let (reader, writer) = stream.into_split();
        Self { reader, writer, unread: BytesMut::new() }
    }

    /// Sends bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        within_patience(self.writer.write_all(bytes)).await
    }

    /// Says that nothing more will be sent, while the reply may still be read.
    pub(crate) async fn finish_writing(&mut self) {
        // The other side may have closed already: then there is no one left to notify.
        let _ = self.writer.shutdown().await;
    }

    /// Sends a request and reads the reply, at the same time: a server may answer before it has read everything.
    pub(crate) async fn exchange(&mut self, what: &str, method: &str, pieces: &[Bytes]) -> Reply {
        let Self { reader, writer, unread } = self;
        let write = async {
            for piece in pieces {
                if writer.write_all(piece).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let read = within_patience(read_reply(reader, unread, what, method));
        tokio::select! {
            reply = read => reply.unwrap_or_else(|error| panic!("{what}: no reply: {error}")),
            () = write => unreachable!("it never ends"),
        }
    }

    /// Reads a whole reply.
    pub(crate) async fn read_reply(&mut self, what: &str, method: &str) -> io::Result<Reply> {
        within_patience(read_reply(&mut self.reader, &mut self.unread, what, method)).await
    }

    /// Reads a reply up to its body.
    pub(crate) async fn read_head(&mut self) -> io::Result<ReplyHead> {
        within_patience(read_head(&mut self.reader, &mut self.unread)).await
    }

    /// Reads exactly `length` bytes.
    pub(crate) async fn read_exactly(&mut self, length: usize) -> io::Result<Bytes> {
        within_patience(read_exactly(&mut self.reader, &mut self.unread, length)).await
    }

    /// Returns all bytes up to the end of the connection, however it ends.
    pub(crate) async fn read_rest(&mut self) -> Bytes {
        while matches!(within_patience(fill(&mut self.reader, &mut self.unread)).await, Ok(1..)) {}
        self.unread.split().freeze()
    }
}

async fn within_patience<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(WAIT_TIMEOUT, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn fill(reader: &mut OwnedReadHalf, unread: &mut BytesMut) -> io::Result<usize> {
    unread.reserve(64 * 1024);
    reader.read_buf(unread).await
}

async fn read_exactly(reader: &mut OwnedReadHalf, unread: &mut BytesMut, length: usize) -> io::Result<Bytes> {
    while unread.len() < length {
        if fill(reader, unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(unread.split_to(length).freeze())
}

async fn read_line(reader: &mut OwnedReadHalf, unread: &mut BytesMut) -> io::Result<String> {
    loop {
        if let Some(end) = unread.windows(2).position(|pair| pair == b"\r\n") {
            let line = unread.split_to(end + 2);
            return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if fill(reader, unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Returns the head of the next final reply; interim ones (1xx) are passed over.
async fn read_head(reader: &mut OwnedReadHalf, unread: &mut BytesMut) -> io::Result<ReplyHead> {
    loop {
        let line = read_line(reader, unread).await?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.unwrap_or_else(|| panic!("not a status line: {line:?}"));
        let mut fields = Vec::new();
        loop {
            let line = read_line(reader, unread).await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header field: {line:?}"));
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            assert!(fields.len() <= MAX_FIELDS, "a reply without end: {fields:?}");
        }
        if status >= 200 {
            return Ok(ReplyHead { status, fields });
        }
    }
}

async fn read_reply(reader: &mut OwnedReadHalf, unread: &mut BytesMut, what: &str, method: &str) -> io::Result<Reply> {
    let head = read_head(reader, unread).await?;
    let body = if method == "HEAD" || matches!(head.status, 204 | 304) {
        Bytes::new()
    } else if head.field("transfer-encoding").is_some() {
        read_chunked(reader, unread).await?
    } else if let Some(length) = head.field("content-length") {
        let length = length.parse().unwrap_or_else(|_| panic!("{what}: Content-Length is {length:?}"));
        read_exactly(reader, unread, length).await?
    } else {
        while fill(reader, unread).await? > 0 {}
        unread.split().freeze()
    };
    Ok(Reply { what: what.to_owned(), status: head.status, fields: head.fields, body })
}

async fn read_chunked(reader: &mut OwnedReadHalf, unread: &mut BytesMut) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let line = read_line(reader, unread).await?;
        let digits = line.split(';').next().unwrap_or_default();
        let length = usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("not a chunk: {line:?}"));
        body.extend_from_slice(&read_exactly(reader, unread, length).await?);
        read_line(reader, unread).await?;
        if length == 0 {
            return Ok(body.freeze());
        }
    }
}
