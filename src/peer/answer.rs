//! Responses of another gateway.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::response::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::clock::Clock;

use super::{
    error::PeerError,
    idle::{Channel, IdleChannels},
};

/// Timeout for a response body that makes no progress.
const STALL: Duration = Duration::from_secs(30);

/// A response whose body is still to be read.
#[derive(Debug)]
pub struct Answer {
    /// Status and header fields, as received.
    pub head: Parts,
    /// The body.
    pub body: AnswerBody,
}

/// The body of a response. Its connection is kept for the next request once it was read to its end, and closed if it is
/// dropped before.
#[derive(Debug)]
pub struct AnswerBody {
    incoming: Incoming,
    channel: Option<Channel>,
    idle: Arc<IdleChannels>,
    clock: Arc<dyn Clock>,
}

impl AnswerBody {
    pub(super) fn new(incoming: Incoming, channel: Channel, idle: Arc<IdleChannels>, clock: Arc<dyn Clock>) -> Self {
        let mut body = Self { incoming, channel: Some(channel), idle, clock };
        if body.incoming.is_end_stream() {
            body.end();
        }
        body
    }

    /// Returns the length in bytes, if it was announced.
    pub fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// Returns the next bytes; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, PeerError> {
        loop {
            let frame = tokio::select! {
                frame = self.incoming.frame() => frame.transpose().map_err(PeerError::Broken)?,
                () = self.clock.sleep(STALL) => return Err(PeerError::Silent),
            };
            match frame.map(http_body::Frame::into_data) {
                Some(Ok(bytes)) => return Ok(Some(bytes)),
                // Trailers are for the next hop, which is this gateway.
                Some(Err(_)) => {}
                None => {
                    self.end();
                    return Ok(None);
                }
            }
        }
    }

    fn end(&mut self) {
        if let Some(channel) = self.channel.take() {
            self.idle.give(channel);
        }
    }
}
