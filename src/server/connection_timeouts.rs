//! Timeouts of a connection: what it waits for, and since when.
//!
//! The socket and the bodies report their activity; a watch checks it a few times within each timeout, so that moving a
//! byte needs no timer. A timeout may therefore come late by up to a quarter of the shortest timeout, never early.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::clock::Clock;

use super::limits::ServerOptions;

/// Maximum time that an answered connection stays open to read the bytes that the client still sends. Closing with
/// unread bytes makes the system send a reset, which can overtake the response and make the client lose it.
const LINGER_TIMEOUT: Duration = Duration::from_secs(15);

/// Number of checks within the shortest timeout.
const CHECKS_PER_TIMEOUT: u32 = 4;

/// Minimum interval between two checks.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Bit of `waiting`: the handler waits for bytes of the request's body.
const RECEIVING: u8 = 1;

/// Bit of `waiting`: the socket takes no more bytes until the client has read some.
const SENDING: u8 = 2;

/// State of a connection in the course of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Nothing received yet.
    Fresh,
    /// A part of a request's line and headers was received.
    Head,
    /// A request is being handled or answered.
    Busy,
    /// The last request was answered.
    Idle,
    /// The response is sent, nothing more will follow.
    Closing,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Fresh, Self::Head, Self::Busy, Self::Idle, Self::Closing];
}

/// The kind of timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeoutKind {
    /// No request came.
    Idle,
    /// The request's line and headers did not end.
    Head,
    /// A body made no progress.
    Stalled,
    /// The client kept sending, or neither sent nor closed, after the response.
    Lingered,
}

impl TimeoutKind {
    /// Returns the name in the log.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Head => "head",
            Self::Stalled => "stalled",
            Self::Lingered => "lingered",
        }
    }
}

/// The timeouts of [`ServerOptions`].
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    header: Duration,
    idle: Duration,
    stall: Duration,
}

/// The activity of a connection: what it waits for, and since when. Tasks report it one after another as hints: no
/// order between fields is relied on.
#[derive(Debug)]
pub(super) struct ConnectionActivity {
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
    phase: AtomicU8,
    waiting: AtomicU8,
    unread: AtomicBool,
    since_ms: AtomicU64,
}

impl ConnectionActivity {
    pub(super) fn new(clock: Arc<dyn Clock>, options: &ServerOptions) -> Self {
        let timeouts =
            Timeouts { header: options.header_timeout, idle: options.idle_timeout, stall: options.stall_timeout };
        let activity = Self {
            clock,
            timeouts,
            phase: AtomicU8::new(Phase::Fresh as u8),
            waiting: AtomicU8::new(0),
            unread: AtomicBool::new(false),
            since_ms: AtomicU64::new(0),
        };
        activity.restart_timer();
        activity
    }

    /// Reports received bytes.
    pub(super) fn read(&self) {
        match self.phase() {
            Phase::Fresh => self.phase.store(Phase::Head as u8, Relaxed),
            Phase::Idle => self.enter(Phase::Head),
            Phase::Busy => self.restart_timer(),
            // These timeouts count from the start of the state, however many bytes come in.
            Phase::Head | Phase::Closing => {}
        }
    }

    /// Reports sent bytes.
    pub(super) fn written(&self) {
        match self.phase() {
            Phase::Busy | Phase::Idle => self.restart_timer(),
            Phase::Fresh | Phase::Head | Phase::Closing => {}
        }
    }

    /// Reports that a request's head was read; `has_body` says that a body follows.
    pub(super) fn request_began(&self, has_body: bool) {
        self.unread.store(has_body, Relaxed);
        self.enter(Phase::Busy);
    }

    /// Returns whether a request's head is being read: no handler was called, and no response of one is under way.
    pub(super) fn is_reading_head(&self) -> bool {
        matches!(self.phase(), Phase::Fresh | Phase::Head)
    }

    /// Reports that the request's body was read to its end.
    pub(super) fn request_read(&self) {
        self.unread.store(false, Relaxed);
    }

    /// Returns whether the last request's body was not read to its end.
    pub(super) fn is_request_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Reports that the whole response was accepted for sending, or given up.
    pub(super) fn reply_ended(&self) {
        self.enter(Phase::Idle);
    }

    /// Reports whether the handler waits for bytes of the client.
    pub(super) fn receiving(&self, waits: bool) {
        self.wait(RECEIVING, waits);
    }

    /// Reports whether the socket waits for the client to read.
    pub(super) fn sending(&self, waits: bool) {
        self.wait(SENDING, waits);
    }

    /// Reports that nothing more will be sent. Returns whether the client may still be sending.
    pub(super) fn closing(&self) -> bool {
        let sending = self.is_request_unread() || self.phase() == Phase::Head;
        self.waiting.store(0, Relaxed);
        self.enter(Phase::Closing);
        sending
    }

    /// Waits until a timeout expires; called again, it returns again after an interval.
    pub(super) async fn expired(&self) -> TimeoutKind {
        let shortest = self.timeouts.header.min(self.timeouts.idle).min(self.timeouts.stall).min(LINGER_TIMEOUT);
        let interval = (shortest / CHECKS_PER_TIMEOUT).max(MIN_CHECK_INTERVAL);
        loop {
            self.clock.sleep(interval).await;
            if let Some(expired) = self.expired_timeout() {
                return expired;
            }
        }
    }

    fn expired_timeout(&self) -> Option<TimeoutKind> {
        let waited = Duration::from_millis(self.now_ms().saturating_sub(self.since_ms.load(Relaxed)));
        let (limit, expired) = match self.phase() {
            Phase::Closing => (LINGER_TIMEOUT, TimeoutKind::Lingered),
            _ if self.waiting.load(Relaxed) != 0 => (self.timeouts.stall, TimeoutKind::Stalled),
            Phase::Fresh | Phase::Head => (self.timeouts.header, TimeoutKind::Head),
            Phase::Idle => (self.timeouts.idle, TimeoutKind::Idle),
            // The server is working: the client waits for us.
            Phase::Busy => return None,
        };
        (waited >= limit).then_some(expired)
    }

    fn wait(&self, what: u8, waits: bool) {
        let before = self.waiting.load(Relaxed);
        if waits && before & what == 0 {
            self.waiting.fetch_or(what, Relaxed);
            // Whatever the server did before, the client's time starts now.
            self.restart_timer();
        } else if !waits && before & what != 0 {
            self.waiting.fetch_and(!what, Relaxed);
        }
    }

    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Relaxed))]
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.restart_timer();
    }

    fn restart_timer(&self) {
        self.since_ms.store(self.now_ms(), Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::{ManualClock, Timestamp};

    use super::*;

    fn activity() -> (Arc<ManualClock>, ConnectionActivity) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        (Arc::clone(&clock), ConnectionActivity::new(clock, &ServerOptions::default()))
    }

    #[test]
    fn a_head_that_trickles_in_is_overdue_however_often_a_byte_comes() {
        let (clock, activity) = activity();
        for _ in 0..29 {
            clock.advance(Duration::from_secs(1));
            activity.read();
            assert_eq!(activity.expired_timeout(), None);
        }
        clock.advance(Duration::from_secs(1));
        activity.read();
        assert_eq!(activity.expired_timeout(), Some(TimeoutKind::Head));
    }

    #[test]
    fn a_body_that_moves_is_never_overdue_and_one_that_stands_still_is() {
        let (clock, activity) = activity();
        activity.read();
        activity.request_began(true);
        activity.receiving(true);
        for _ in 0..100 {
            clock.advance(Duration::from_secs(59));
            activity.read();
            assert_eq!(activity.expired_timeout(), None);
        }
        clock.advance(Duration::from_mins(1));
        assert_eq!(activity.expired_timeout(), Some(TimeoutKind::Stalled));
    }

    #[test]
    fn time_the_server_takes_is_not_held_against_the_client() {
        let (clock, activity) = activity();
        activity.request_began(true);
        clock.advance(Duration::from_hours(1));
        assert_eq!(activity.expired_timeout(), None);
        activity.receiving(true);
        assert_eq!(activity.expired_timeout(), None);
        clock.advance(Duration::from_mins(1));
        assert_eq!(activity.expired_timeout(), Some(TimeoutKind::Stalled));
    }

    #[test]
    fn an_unread_response_is_overdue() {
        let (clock, activity) = activity();
        activity.request_began(false);
        activity.sending(true);
        activity.reply_ended();
        clock.advance(Duration::from_mins(1));
        assert_eq!(activity.expired_timeout(), Some(TimeoutKind::Stalled));
        activity.sending(false);
        activity.written();
        assert_eq!(activity.expired_timeout(), None);
    }

    #[test]
    fn an_idle_connection_has_longer_than_a_half_sent_head() {
        let (clock, activity) = activity();
        activity.request_began(false);
        activity.reply_ended();
        clock.advance(Duration::from_secs(74));
        assert_eq!(activity.expired_timeout(), None);
        activity.read();
        assert_eq!(activity.expired_timeout(), None);
        clock.advance(Duration::from_secs(30));
        assert_eq!(activity.expired_timeout(), Some(TimeoutKind::Head));
    }
}
