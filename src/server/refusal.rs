//! What a client gets when it cannot be listened to: for lack of room, or of a language in common.

use std::sync::Arc;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::clock::Clock;

use super::{options::ServerOptions, pulse::Pulse, socket::Socket};

/// The most refusals under way at once. Beyond that, connections are closed without a word.
pub(super) const MAX_REFUSALS: usize = 256;

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
