//! The operations as a client sees them: requests to the program, over one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::populate::key;
use crate::program::{Program, TOKEN};
use crate::report::{Draws, Outcome};

/// A request to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The store itself.
    Store,
    /// A record at random.
    Record,
    /// A page of so many keys from a random place on.
    Keys(usize),
}

/// All requests, with their names.
pub const REQUESTS: [(&str, Request); 4] = [
    ("the store", Request::Store),
    ("a record", Request::Record),
    ("100 keys", Request::Keys(100)),
    ("1,000 keys", Request::Keys(1000)),
];

/// A store by its id, and the number of its records.
#[derive(Debug)]
pub struct Target {
    /// Its id.
    pub id: String,
    /// Number of its records.
    pub count: u64,
}

impl Target {
    /// Sends a request for a random key. Returns its duration.
    pub fn time(&self, client: &mut Client, request: Request, draws: &mut Draws) -> Outcome<Duration> {
        let store = format!("/v2/key-value-stores/{}", self.id);
        match request {
            Request::Store => Ok(client.read(&store)?.0),
            Request::Record => {
                let number = draws.below(self.count);
                let (took, body) = client.read(&format!("{store}/records/{}", key(number)?.as_str()))?;
                let is_right = body.starts_with(format!("{number:010}").as_bytes());
                if is_right { Ok(took) } else { Err("another record was read".into()) }
            }
            Request::Keys(limit) => {
                // Only where a whole page follows, so that pages of both stores hold as many keys.
                let places = (self.count + 1).saturating_sub(limit as u64).max(1);
                let number = draws.below(places);
                let after = match number.checked_sub(1) {
                    Some(before) => format!("&exclusiveStartKey={}", key(before)?.as_str()),
                    None => String::new(),
                };
                let (took, body) = client.read(&format!("{store}/keys?limit={limit}{after}"))?;
                let first = format!("\"{}\"", key(number)?.as_str());
                let is_right = body.windows(first.len()).any(|part| part == first.as_bytes());
                if is_right { Ok(took) } else { Err("another page was listed".into()) }
            }
        }
    }
}

/// Timeout for a response of the program.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A connection to the program.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects.
    pub fn open(program: &Program) -> Outcome<Self> {
        let stream = TcpStream::connect(program.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self(BufReader::with_capacity(256 * 1024, stream)))
    }

    /// Reads the record at `path`. Returns the duration of the request, and the body.
    pub fn read(&mut self, path: &str) -> Outcome<(Duration, Vec<u8>)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
        let started = Instant::now();
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length, mut is_good) = (String::new(), 0, false);
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                break;
            }
            is_good |= line.starts_with("HTTP/1.1 20");
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let took = started.elapsed();
        if is_good { Ok((took, body)) } else { Err(format!("{path}: {}", String::from_utf8_lossy(&body)).into()) }
    }
}
