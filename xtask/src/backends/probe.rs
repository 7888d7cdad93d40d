//! Probe for a server: one HTTP request without a body or a key, and the status of the response.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Timeout for a response of the server.
const LIMIT: Duration = Duration::from_secs(2);

/// Length of the longest beginning of a response that contains its status.
const STATUS_LINE_BYTES: usize = "HTTP/1.1 200".len();

/// Returns the status of the response to `GET path` of the server on a port of this machine, or `None` when it does not
/// respond.
pub fn status(port: u16, path: &str) -> Option<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut beginning = [0; STATUS_LINE_BYTES];
    stream.read_exact(&mut beginning).ok()?;
    std::str::from_utf8(&beginning).ok()?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_that_answers_is_told_from_one_that_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").expect("it is sent");
        });
        assert_eq!(status(port, "/"), Some(403));
        server.join().expect("it answered");
        assert_eq!(status(port, "/"), None, "nobody listens any more");
    }
}
