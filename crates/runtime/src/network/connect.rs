//! One connection to a server whose name may have several addresses (RFC 8305, "Happy Eyeballs").
//!
//! An address that never answers costs a quarter of a second instead of the system's timeout.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// Delay before the next address is tried in parallel (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address of `host` that answers. The caller limits the time.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    race(alternated(lookup_host((host, port)).await?)).await
}

/// Connects to the address that answers first. Each attempt begins when the previous one has failed or after
/// [`ATTEMPT_DELAY`].
async fn race(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        let next = addresses.next();
        attempts.extend(next.map(attempt));
        let ended = match next {
            Some(_) => match timeout(ATTEMPT_DELAY, attempts.next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            },
            None => attempts.next().await,
        };
        match ended {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failure = error,
            None => return Err(failure),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what races the addresses")]
async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Requests are written whole; waiting for more bytes gains nothing.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Orders addresses so that the two families alternate, the system's preferred one first (RFC 8305, section 4).
fn alternated(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut counts = [0_usize; 2];
    let mut ranked: Vec<_> = addresses
        .map(|address| {
            let count = &mut counts[usize::from(address.is_ipv6())];
            *count += 1;
            (*count, address)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, address)| address).collect()
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A listener with a full queue: Linux drops every further SYN, like a host that is down.
    struct Silent {
        address: SocketAddr,
        _listener: TcpListener,
        _queued: Vec<TcpStream>,
    }

    impl Silent {
        async fn listen() -> Self {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
            let listener = socket.listen(1).expect("it listens");
            let address = listener.local_addr().expect("it is bound");
            let mut queued = Vec::new();
            while let Ok(connected) = timeout(ATTEMPT_DELAY, attempt(address)).await {
                queued.push(connected.expect("its queue takes it"));
            }
            Self { address, _listener: listener, _queued: queued }
        }
    }

    async fn listener() -> (SocketAddr, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        (listener.local_addr().expect("it is bound"), listener)
    }

    #[tokio::test]
    async fn an_address_that_never_answers_does_not_hold_up_the_next() {
        let (silent, (address, _listener)) = (Silent::listen().await, listener().await);
        let raced = timeout(Duration::from_secs(1), race([silent.address, silent.address, address])).await;
        let stream = raced.expect("within a second").expect("one of them answers");
        assert_eq!(stream.peer_addr().expect("it is connected"), address);
    }

    #[tokio::test]
    async fn an_address_that_refuses_gives_way_at_once_and_its_error_is_the_last_word() {
        let (refusing, closed) = listener().await;
        drop(closed);
        let (address, _listener) = listener().await;
        let raced = timeout(ATTEMPT_DELAY, race([refusing, refusing, address])).await;
        raced.expect("without a delay").expect("one of them answers");
        let error = race([refusing]).await.expect_err("nothing listens there");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race([]).await.expect_err("there is nothing").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn families_take_turns() {
        let addresses =
            ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(|text| text.parse().expect(text));
        let ordered: Vec<_> = alternated(addresses.into_iter()).iter().map(ToString::to_string).collect();
        assert_eq!(ordered, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    }
}
