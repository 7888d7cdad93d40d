//! The requests of one client to the program, over one connection.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    figures::Outcome,
    program::{Program, TOKEN},
};

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
