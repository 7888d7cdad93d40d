//! Free ports for servers that cannot choose their own, and a probe: one HTTP request without a body or a key, and the
//! status of the response.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// Range for free ports. It is below the ports that systems give to outgoing connections (from 32768 on Linux), even
/// when [`GRPC_OFFSET`] is added, so that no connection takes one between the look and the server's start.
const RANGE: Range<u16> = 11_000..22_000;

/// Some servers listen a second time on each of their ports plus this.
pub const GRPC_OFFSET: u16 = 10_000;

/// Ports on 127.0.0.1 that are free now, and so are they plus `offset`.
///
/// # Errors
/// Returns a message when there are not that many.
pub fn free_ports<const COUNT: usize>(offset: u16) -> Result<[u16; COUNT], String> {
    // Commands that run at the same time begin to look at different places.
    let places = u32::from(RANGE.end - RANGE.start);
    let nanoseconds = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.subsec_nanos());
    let start = (nanoseconds / 1000).wrapping_add(std::process::id()) % places;
    let candidates = (0..places).filter_map(|step| u16::try_from((start + step) % places).ok());
    let mut found = candidates
        .map(|place| RANGE.start + place)
        .filter(|port| is_free(*port) && (offset == 0 || is_free(port + offset)))
        .take(COUNT);
    let mut ports = [0; COUNT];
    for port in &mut ports {
        *port = found.next().ok_or_else(|| format!("there are no {COUNT} free ports in {RANGE:?}"))?;
    }
    Ok(ports)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Timeout for a response of the server.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Length of the longest beginning of a response that contains its status.
const STATUS_LINE_BYTES: usize = "HTTP/1.1 200".len();

/// Returns the status of the response to `GET path` of the server on a port of this machine, or `None` when it does not
/// respond.
pub fn status(port: u16, path: &str) -> Option<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT).ok()?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT)).ok()?;
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
    fn ports_are_different_free_and_so_are_their_seconds() {
        let ports: [u16; 6] = free_ports(GRPC_OFFSET).expect("there are some");
        for (index, port) in ports.iter().enumerate() {
            assert!(!ports[..index].contains(port), "{ports:?}");
            let (_first, _second) = (listen(*port), listen(port + GRPC_OFFSET));
        }
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the system has one");
        assert!(!is_free(listener.local_addr().expect("it is bound").port()));
    }

    fn listen(port: u16) -> TcpListener {
        TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| panic!("{port}: {error}"))
    }

    #[test]
    fn a_responding_server_is_distinguished_from_a_silent_one() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client connects");
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").expect("it is sent");
        });
        assert_eq!(status(port, "/"), Some(403));
        server.join().expect("it answered");
        assert_eq!(status(port, "/"), None, "the port is closed");
    }
}
