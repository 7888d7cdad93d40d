//! A lean HTTP/1.1 client: one connection, one kind of request, no allocation for a request.
//!
//! It reads what Larder and the bare server send: a head of limited length and a body of announced length. Anything
//! else, also a status that was not expected, is an error.

use std::{net::SocketAddr, ops::Range, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    figures::Outcome,
    plan::{Case, Verb, key_prefix},
    server::TOKEN,
};

/// Bytes read at once; the head of an answer must fit.
const INBOX_BYTES: usize = 256 * 1024;

/// Bodies up to this long are sent together with the head in one write.
const JOINED_BYTES: usize = 64 * 1024;

/// Digits of a key's number.
const DIGITS: usize = 7;

/// Bytes of an unexpected answer that are shown.
const SHOWN_BYTES: usize = 600;

/// A kind of request, shared by all connections.
#[derive(Debug, Clone)]
pub struct Request {
    head: Vec<u8>,
    digits: Range<usize>,
    body: Arc<[u8]>,
    is_put: bool,
    status: &'static [u8],
    /// Bytes of the answer's body.
    answer: usize,
}

impl Request {
    /// The request of `case` to a record of `store`; of `pattern`, the first bytes are sent.
    pub fn new(case: &Case, verb: Verb, store: &str, pattern: &[u8]) -> Self {
        let (method, body, status, answer) = match verb {
            Verb::Get => ("GET", &[][..], &b"200"[..], case.bytes),
            Verb::Put => ("PUT", &pattern[..case.bytes], &b"201"[..], "{}".len()),
        };
        let line = format!("{method} /v2/key-value-stores/{store}/records/{}", key_prefix(case));
        let digits = line.len()..line.len() + DIGITS;
        let of_body = match verb {
            Verb::Get => String::new(),
            Verb::Put => format!("Content-Type: application/octet-stream\r\nContent-Length: {}\r\n", body.len()),
        };
        let head = format!(
            "{line}{:0DIGITS$} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nAccept: */*\r\n\
             Accept-Encoding: gzip\r\nUser-Agent: larder-bench\r\n{of_body}\r\n",
            0
        );
        Self { head: head.into_bytes(), digits, body: Arc::from(body), is_put: verb == Verb::Put, status, answer }
    }
}

/// A connection that sends one kind of request.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// The head, and the body as well if it is short.
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    request: Request,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr, request: &Request) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut outbox = request.head.clone();
        if request.body.len() <= JOINED_BYTES {
            outbox.extend_from_slice(&request.body);
        }
        Ok(Self { stream, outbox, inbox: vec![0; INBOX_BYTES], request: request.clone() })
    }

    /// Sends the request for the record with this number, and reads the answer to its end. With `expected` the
    /// body of a record that is read must be that.
    pub async fn exchange(&mut self, number: u64, expected: Option<&[u8]>) -> Outcome<()> {
        let mut rest = number;
        for digit in self.outbox[self.request.digits.clone()].iter_mut().rev() {
            *digit = b"0123456789"[usize::try_from(rest % 10)?];
            rest /= 10;
        }
        self.stream.write_all(&self.outbox).await?;
        if self.request.body.len() > JOINED_BYTES {
            self.stream.write_all(&self.request.body).await?;
        }
        let (body, mut filled) = self.read_head().await?;
        let mut start = body;
        let mut left = self.request.answer;
        let expected = expected.filter(|_| !self.request.is_put);
        loop {
            let received = filled - start;
            if received > left {
                return Err("the answer is longer than its length".into());
            }
            if let Some(expected) = expected {
                let offset = self.request.answer - left;
                if self.inbox[start..filled] != expected[offset..offset + received] {
                    return Err(format!("the record differs behind byte {offset} from what was written").into());
                }
            }
            left -= received;
            if left == 0 {
                return Ok(());
            }
            start = 0;
            filled = self.read(0).await?;
        }
    }

    /// Reads the head of an answer and what came with it; where the body begins and the bytes read end.
    async fn read_head(&mut self) -> Outcome<(usize, usize)> {
        let mut filled = 0;
        loop {
            filled = self.read(filled).await?;
            let received = &self.inbox[..filled];
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                let is_expected = received.get(9..12) == Some(self.request.status)
                    && content_length(&received[..end]) == Some(self.request.answer);
                if is_expected {
                    return Ok((end + 4, filled));
                }
                let shown = String::from_utf8_lossy(&received[..filled.min(SHOWN_BYTES)]);
                return Err(format!("an answer was not as expected:\n{shown}").into());
            }
            if filled == self.inbox.len() {
                return Err("the head of an answer has no end".into());
            }
        }
    }

    async fn read(&mut self, at: usize) -> Outcome<usize> {
        let count = self.stream.read(&mut self.inbox[at..]).await?;
        if count == 0 { Err("the server closed the connection in the middle".into()) } else { Ok(at + count) }
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    std::str::from_utf8(line.get(NAME.len()..)?).ok()?.trim().parse().ok()
}
