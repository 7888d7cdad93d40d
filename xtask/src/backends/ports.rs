//! Free ports for servers that cannot be told to choose their own.

use std::net::TcpListener;
use std::ops::Range;
use std::time::SystemTime;

/// Range for free ports. It is below the ports that systems give to outgoing connections (from 32768 on Linux), even
/// when [`GRPC_OFFSET`] is added, so that no connection takes one between the look and the server's start.
const RANGE: Range<u16> = 11_000..22_000;

/// Some servers listen a second time on each of their ports plus this.
pub const GRPC_OFFSET: u16 = 10_000;

/// Ports on 127.0.0.1 that are free now, and so are they plus `offset`.
///
/// # Errors
/// Returns a message when there are not that many.
pub fn free<const COUNT: usize>(offset: u16) -> Result<[u16; COUNT], String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_different_free_and_so_are_their_seconds() {
        let ports: [u16; 6] = free(GRPC_OFFSET).expect("there are some");
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
}
