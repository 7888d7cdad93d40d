//! Guard over irreversible work that depends on the wall clock: expiry, the end of runs, the end of their tokens.
//!
//! One reading of a clock never leads to a deletion. Callers ask [`ClockGuard::allows_deletion`] before each
//! irreversible step, and measure waiting times by [`ClockGuard::uptime`], which no change of the wall clock moves.

use std::{sync::Arc, time::Duration};

use super::{source::Clock, timestamp::Timestamp};

/// A period in which nothing is deleted on account of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Start of the suspension, by the wall clock of this gateway.
    pub since: Timestamp,
    /// Reason, for logs and operators.
    pub reason: String,
}

/// Trust in the wall clock of this installation.
#[derive(Debug)]
pub struct ClockGuard {
    clock: Arc<dyn Clock>,
}

impl ClockGuard {
    /// Returns a guard that trusts `clock` without conditions.
    pub fn trusting(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// Returns the suspension in force, or `None` while the wall clock is trusted.
    pub fn suspension(&self) -> Option<Suspension> {
        None
    }

    /// Returns whether expired data may be deleted, runs ended and their tokens revoked now.
    pub fn allows_deletion(&self) -> bool {
        self.suspension().is_none()
    }

    /// Returns the accumulated time for which this installation has been running, by boot-time clocks, over all
    /// processes. It never goes back, and never advances faster than real time.
    pub fn uptime(&self) -> Duration {
        self.clock.monotonic()
    }
}
