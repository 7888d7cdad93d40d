//! Rejection of clients whose requests are not read: at the connection limit, or without a common protocol.

use std::sync::Arc;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::clock::Clock;

use super::{options::ServerOptions, pulse::Pulse, socket::Socket};

/// Maximum number of concurrent rejections. Beyond it, connections are closed without a response.
pub(super) const MAX_REFUSALS: usize = 256;

/// Rejects a client with this response, which tells it to retry later.
pub(super) async fn refuse(stream: TcpStream, clock: Arc<dyn Clock>, options: &ServerOptions, words: &[u8]) {
    tell(stream, Arc::new(Pulse::new(clock, options)), words).await;
}

/// Sends this response, whatever the client sends.
pub(super) async fn tell(stream: TcpStream, pulse: Arc<Pulse>, answer: &[u8]) {
    // Its request is in flight and will not be read: the close has to wait for it.
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
