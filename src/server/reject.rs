//! Responses without a handler: to clients at a connection limit or without TLS, and to requests that cannot be
//! parsed.

use std::sync::Arc;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::clock::Clock;

use super::{connection_timeouts::ConnectionActivity, handler::exposed_fields, limits::ServerOptions, socket::Socket};

/// Maximum number of concurrent rejections. Beyond it, connections are closed without a response.
pub(super) const MAX_REJECTIONS: usize = 256;

/// Rejects a client with this response, which tells it to retry later.
pub(super) async fn reject(stream: TcpStream, clock: Arc<dyn Clock>, options: &ServerOptions, words: &[u8]) {
    send_response(stream, Arc::new(ConnectionActivity::new(clock, options)), words).await;
}

/// Sends this response, whatever the client sends.
pub(super) async fn send_response(stream: TcpStream, activity: Arc<ConnectionActivity>, answer: &[u8]) {
    // Its request is in flight and will not be read: the close has to wait for it.
    activity.request_began(true);
    let mut socket = Socket::new(stream, Arc::clone(&activity));
    let told = async {
        socket.write_all(answer).await?;
        socket.shutdown().await
    };
    tokio::select! {
        result = told => {
            if let Err(error) = result {
                tracing::debug!(%error, "a rejected client disconnected");
            }
        }
        _ = activity.expired() => {}
    }
}

/// A complete response, with the header fields that let pages of other origins read it.
macro_rules! answer {
    ($status:literal, $retry:literal, $length:literal, $text:literal) => {
        concat!(
            "HTTP/1.1 ",
            $status,
            "\r\nconnection: close\r\n",
            $retry,
            "access-control-allow-origin: *\r\naccess-control-expose-headers: ",
            exposed_fields!(),
            "\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ",
            $length,
            "\r\n\r\n",
            $text
        )
        .as_bytes()
    };
}

/// The response at the connection limit. The request has not been read, so nothing is known of it.
pub(super) const CONNECTION_LIMIT_REACHED: &[u8] = answer!(
    "503 Service Unavailable",
    "retry-after: 1\r\n",
    58,
    "This server has as many connections as it takes. Try later"
);

/// The response to a client at its own connection limit.
pub(super) const CLIENT_LIMIT_REACHED: &[u8] = answer!(
    "503 Service Unavailable",
    "retry-after: 1\r\n",
    62,
    "This address has as many connections as it may have. Try later"
);

/// The response to a client that speaks plain HTTP to a TLS server.
pub(super) const PLAIN_HTTP: &[u8] =
    answer!("400 Bad Request", "", 58, "This port speaks HTTPS: use an address with https:// in it");

/// The responses to request heads that hyper refuses, by the beginning of hyper's own response.
const UNREADABLE: [(&[u8], &[u8]); 3] = [
    (b"HTTP/1.1 400 ", answer!("400 Bad Request", "", 46, "The head of the request is not one of HTTP/1.1")),
    (b"HTTP/1.1 414 ", answer!("414 URI Too Long", "", 34, "The URL of the request is too long")),
    (
        b"HTTP/1.1 431 ",
        answer!(
            "431 Request Header Fields Too Large",
            "",
            61,
            "The head of the request is longer than this server lets it be"
        ),
    ),
];

/// Returns the response to send in place of `head`, if hyper generated that for a request that it cannot parse. hyper's
/// own have neither a body nor the fields that let pages of other origins read them.
pub(super) fn replacement_for(head: &[u8]) -> Option<&'static [u8]> {
    const NO_BODY: &[u8] = b"\r\ncontent-length: 0\r\n";
    let (_, answer) = UNREADABLE.iter().find(|(beginning, _)| head.starts_with(beginning))?;
    head.windows(NO_BODY.len()).any(|window| window == NO_BODY).then_some(*answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_says_its_own_length() {
        for answer in [CONNECTION_LIMIT_REACHED, CLIENT_LIMIT_REACHED, PLAIN_HTTP]
            .into_iter()
            .chain(UNREADABLE.map(|(_, answer)| answer))
        {
            let text = String::from_utf8_lossy(answer);
            let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
            assert!(head.contains("\r\naccess-control-allow-origin: *\r\n"), "{head}");
        }
    }
}
