//! A lean HTTP/1.1 client: one connection, one kind of request, no allocation for a request.
//!
//! It reads what Larder and the bare server send: a head of limited length and a body of announced length. Anything
//! else, also a status that was not expected, is an error.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    figures::Outcome,
    load::case::{Case, Verb, key},
    program::TOKEN,
};

/// Bytes read at once; the head of an answer must fit.
const INBOX_BYTES: usize = 256 * 1024;

/// Bodies up to this long are sent together with the head in one write.
const JOINED_BYTES: usize = 64 * 1024;

/// Bytes of an unexpected answer that are shown.
const SHOWN_BYTES: usize = 600;

/// A kind of request, shared by all connections.
#[derive(Debug, Clone)]
pub struct Request {
    /// The heads, one for each record, one behind the other.
    heads: Arc<[u8]>,
    head_length: usize,
    body: Arc<[u8]>,
    status: &'static [u8],
    /// Bytes of the answer's body.
    answer: usize,
}

impl Request {
    /// Creates a request with a head for each record, all of one length. Its response has `status`, and a body of
    /// `answer` bytes.
    pub fn new(
        heads: impl IntoIterator<Item = Outcome<String>>,
        body: &[u8],
        status: &'static str,
        answer: usize,
    ) -> Outcome<Self> {
        let mut joined = Vec::new();
        let mut head_length = None;
        for head in heads {
            let head = head?;
            if *head_length.get_or_insert(head.len()) != head.len() {
                return Err("the heads of requests are not of one length".into());
            }
            joined.extend_from_slice(head.as_bytes());
        }
        let head_length = head_length.ok_or("there are no heads of requests")?;
        let (heads, body) = (Arc::from(joined), Arc::from(body));
        Ok(Self { heads, head_length, body, status: status.as_bytes(), answer })
    }

    /// Returns the request of `case` to records of `store` through Larder; of `pattern`, the first bytes are sent.
    pub fn to_larder(case: &Case, verb: Verb, store: &str, pattern: &[u8]) -> Outcome<Self> {
        let (method, body, status, answer) = match verb {
            Verb::Get => ("GET", &[][..], "200", case.bytes),
            Verb::Put => ("PUT", &pattern[..case.bytes], "201", "{}".len()),
        };
        let of_body = of_body(verb, body);
        let heads = (0..case.keys).map(|number| {
            let key = key(case, number);
            Ok(format!(
                "{method} /v2/key-value-stores/{store}/records/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                 Authorization: Bearer {TOKEN}\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\
                 User-Agent: larder-bench\r\n{of_body}\r\n"
            ))
        });
        Self::new(heads, body, status, answer)
    }
}

/// Returns the header fields of a request that are about its body.
pub fn of_body(verb: Verb, body: &[u8]) -> String {
    match verb {
        Verb::Get => String::new(),
        Verb::Put => format!("Content-Type: application/octet-stream\r\nContent-Length: {}\r\n", body.len()),
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
        let mut outbox = vec![0; request.head_length];
        if request.body.len() <= JOINED_BYTES {
            outbox.extend_from_slice(&request.body);
        }
        Ok(Self { stream, outbox, inbox: vec![0; INBOX_BYTES], request: request.clone() })
    }

    /// Sends the request for the record with this number, and reads the response to its end. With `expected`, the body
    /// of a record that is read must equal it.
    pub async fn exchange(&mut self, number: u64, expected: Option<&[u8]>) -> Outcome<()> {
        let (start, length) = (usize::try_from(number)? * self.request.head_length, self.request.head_length);
        self.outbox[..length].copy_from_slice(&self.request.heads[start..start + length]);
        self.stream.write_all(&self.outbox).await?;
        if self.request.body.len() > JOINED_BYTES {
            self.stream.write_all(&self.request.body).await?;
        }
        let (body, mut filled) = self.read_head().await?;
        let mut start = body;
        let mut left = self.request.answer;
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

    /// Reads the head of a response and the bytes that came with it. Returns where the body begins and the bytes read
    /// end.
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
