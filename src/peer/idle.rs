//! Idle connections to another gateway, kept for the next request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::client::conn::http1::SendRequest;
use tokio_util::sync::DropGuard;

use crate::clock::Clock;

use super::outgoing::Outgoing;

/// Maximum number of idle connections.
const MAX_IDLE: usize = 16;

/// Maximum idle time of a connection: well below the timeout of servers, so that no request goes into a closing
/// connection.
const MAX_IDLE_TIME: Duration = Duration::from_secs(5);

/// A connection that can carry one request. Dropping it closes the connection.
#[derive(Debug)]
pub struct Channel {
    /// Sender of requests.
    pub sender: SendRequest<Outgoing>,
    _open: DropGuard,
}

impl Channel {
    /// Returns a channel whose connection ends with `open`.
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
    /// Returns an empty pool.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, channels: Mutex::default() }
    }

    /// Takes the connection that was idle for the shortest time.
    pub fn take(&self) -> Option<Channel> {
        let now = self.clock.monotonic();
        let mut channels = self.channels();
        channels.retain(|(channel, since)| !channel.sender.is_closed() && now.saturating_sub(*since) < MAX_IDLE_TIME);
        let at = channels.iter().rposition(|(channel, _)| channel.sender.is_ready())?;
        Some(channels.remove(at).0)
    }

    /// Returns a connection whose response was read to its end.
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
