//! The load: connections that ask one after the other, for a limited time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::load::case::{Case, Verb, key};
use crate::program::TOKEN;
use crate::report::{Draws, Outcome, Samples};

/// Maximum number of requests of one connection in a round: more than any of these servers can answer in that time.
const MAX_REQUESTS: usize = 50_000;

/// Timeout for the last responses after the time of a round.
const TAIL_LIMIT: Duration = Duration::from_secs(40);

/// Connections to one server, and the records they ask for.
#[derive(Debug)]
pub struct Load {
    connections: Vec<Client>,
    keys: u64,
}

#[derive(Debug)]
struct Client {
    connection: Connection,
    draws: Draws,
    times: Vec<Duration>,
}

/// Results of a round.
#[derive(Debug)]
pub struct Round {
    /// Requests that were answered.
    pub requests: u32,
    /// From the first byte sent to the last byte read.
    pub elapsed: Duration,
    /// Duration of each request.
    pub times: Samples,
}

impl Load {
    /// Connects `connections` times; each connection sends `request` for one of the first `keys` records.
    pub async fn open(address: SocketAddr, request: &Request, keys: u64, connections: usize) -> Outcome<Self> {
        let count = connections as u64;
        let mut connections = Vec::with_capacity(connections);
        for seed in 0..count {
            let connection = Connection::open(address, request).await?;
            connections.push(Client { connection, draws: Draws::new(seed), times: Vec::with_capacity(MAX_REQUESTS) });
        }
        Ok(Self { connections, keys })
    }

    /// Asks for each record once, in turn; `expected` is what a record must be.
    pub async fn sweep(&mut self, expected: Option<&[u8]>) -> Outcome<()> {
        let clients = self.connections.len();
        let mut numbers = 0..self.keys;
        while !numbers.is_empty() {
            let turn = self.connections.iter_mut().zip(numbers.by_ref().take(clients));
            let exchanges = turn.map(|(client, number)| client.connection.exchange(number, expected));
            futures_util::future::try_join_all(exchanges).await?;
        }
        Ok(())
    }

    /// One round; no request begins later than `limit` after its start.
    pub async fn round(&mut self, limit: Duration) -> Outcome<Round> {
        let keys = self.keys;
        let started = Instant::now();
        let mut running = JoinSet::new();
        for client in self.connections.drain(..) {
            running.spawn(client.run(keys, started + limit));
        }
        let mut times = Samples::with_room(MAX_REQUESTS);
        let mut requests = 0;
        let collected = async {
            while let Some(client) = running.join_next().await {
                let mut client = client??;
                requests += u32::try_from(client.times.len())?;
                client.times.drain(..).for_each(|time| times.push(time));
                self.connections.push(client);
            }
            Outcome::Ok(started.elapsed())
        };
        let elapsed =
            timeout(limit + TAIL_LIMIT, collected).await.map_err(|_| "a round does not come to its end")??;
        Ok(Round { requests, elapsed, times })
    }
}

impl Client {
    async fn run(mut self, keys: u64, end: Instant) -> Outcome<Self> {
        for _ in 0..MAX_REQUESTS {
            let sent = Instant::now();
            if sent >= end {
                break;
            }
            self.connection.exchange(self.draws.below(keys), None).await?;
            self.times.push(sent.elapsed());
        }
        Ok(self)
    }
}

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
