//! What a client gets when it cannot be listened to: for lack of room, or of a language in common.

use std::sync::Arc;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::clock::Clock;

use super::{options::ServerOptions, pulse::Pulse, socket::Socket};

/// The most refusals under way at once. Beyond that, connections are closed without a word.
pub(super) const MAX_REFUSALS: usize = 256;

/// The whole answer. The client has not been listened to, so that nothing is known of its request.
pub(super) const ALL_TAKEN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 58\r\n\
    \r\n\
    This server has as many connections as it takes. Try later";

/// The whole answer to a client that has as many connections as one may have.
pub(super) const SHARE_TAKEN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 62\r\n\
    \r\n\
    This address has as many connections as it may have. Try later";

/// The whole answer to who speaks plain HTTP where TLS is spoken.
pub(super) const NO_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    connection: close\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 58\r\n\
    \r\n\
    This port speaks HTTPS: use an address with https:// in it";

/// Tells the client to come back later, in these words.
pub(super) async fn refuse(stream: TcpStream, clock: Arc<dyn Clock>, options: &ServerOptions, words: &[u8]) {
    tell(stream, Arc::new(Pulse::new(clock, options)), words).await;
}

/// Tells the client this, whatever it is about to say.
pub(super) async fn tell(stream: TcpStream, pulse: Arc<Pulse>, answer: &[u8]) {
    // Its request is on its way and will not be read: the close has to wait for it.
    pulse.request_began(true);
    let mut socket = Socket::new(stream, Arc::clone(&pulse));
    let told = async {
        socket.write_all(answer).await?;
        socket.shutdown().await
    };
    tokio::select! {
        result = told => {
            if let Err(error) = result {
                tracing::debug!(%error, "a refused client was gone");
            }
        }
        _ = pulse.watch() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_says_its_own_length() {
        for answer in [ALL_TAKEN, SHARE_TAKEN, NO_TLS] {
            let text = String::from_utf8_lossy(answer);
            let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        }
    }
}
