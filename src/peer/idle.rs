//! Connections to another gateway, kept for the next request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::client::conn::http1::SendRequest;
use tokio_util::sync::DropGuard;

use crate::clock::Clock;

use super::outgoing::Outgoing;

/// The most connections kept.
const MAX_IDLE: usize = 16;

/// How long a connection is kept: well below the time after which servers close theirs, so that no request is sent into a
/// closing one.
const MAX_IDLE_TIME: Duration = Duration::from_secs(5);

/// A connection that one request may be sent over. It is closed when this is dropped.
#[derive(Debug)]
pub struct Channel {
    /// What takes requests.
    pub sender: SendRequest<Outgoing>,
    _open: DropGuard,
}

impl Channel {
    /// A connection that is closed by `open`.
    pub fn new(sender: SendRequest<Outgoing>, open: DropGuard) -> Self {
        Self { sender, _open: open }
    }
}

/// Connections that wait for a request.
#[derive(Debug)]
pub struct IdleChannels {
    clock: Arc<dyn Clock>,
    channels: Mutex<Vec<(Channel, Duration)>>,
}

impl IdleChannels {
    /// None yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, channels: Mutex::default() }
    }

    /// The one that waited the shortest.
    pub fn take(&self) -> Option<Channel> {
        let now = self.clock.monotonic();
        let mut channels = self.channels();
        channels.retain(|(channel, since)| !channel.sender.is_closed() && now.saturating_sub(*since) < MAX_IDLE_TIME);
        let at = channels.iter().rposition(|(channel, _)| channel.sender.is_ready())?;
        Some(channels.remove(at).0)
    }

    /// Keeps a connection whose answer was read to its end.
    pub fn give(&self, channel: Channel) {
        let now = self.clock.monotonic();
        let mut channels = self.channels();
        if channels.len() == MAX_IDLE {
            channels.remove(0);
        }
        channels.push((channel, now));
    }

    fn channels(&self) -> MutexGuard<'_, Vec<(Channel, Duration)>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
