//! Answers of another gateway.

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

/// How long the body of an answer may stand still.
const STALL: Duration = Duration::from_secs(30);

/// An answer, its body still to be read.
#[derive(Debug)]
pub struct Answer {
    /// Status and header fields, as they came.
    pub head: Parts,
    /// The body.
    pub body: AnswerBody,
}

/// The body of an answer. Its connection is kept for the next request when it was read to its end, and closed if it is
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

    /// Its length in bytes, if that was announced.
    pub fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// The next bytes; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, PeerError> {
        loop {
            let frame = tokio::select! {
                frame = self.incoming.frame() => frame.transpose().map_err(PeerError::Broken)?,
                () = self.clock.sleep(STALL) => return Err(PeerError::Silent),
            };
            match frame.map(http_body::Frame::into_data) {
                Some(Ok(bytes)) => return Ok(Some(bytes)),
                // Trailers are for whoever is next on the way, and that is us.
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
