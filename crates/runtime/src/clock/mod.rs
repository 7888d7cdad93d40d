//! Injected time and randomness.
//!
//! Only the implementations in this module read the system's clock and its randomness, so that tests can move time by
//! hand and repeat random sequences from a seed. `clippy.toml` forbids the system's own functions elsewhere. This
//! module schedules nothing: that is `jobs`.
//!
//! A wrong clock must not delete data. [`ClockGuard`] compares the wall clock with boot time, with the machine's own
//! clock, and with the time that the installation recorded.
//!
//! 1. An irreversible step takes its time from [`ClockGuard::deletion_time`], which is `None` while the clock is in
//!    doubt.
//! 2. A wait is measured by [`ClockGuard::uptime`], the time for which the installation has been running. It never goes
//!    back, and is never faster than real time.
//! 3. A new expiry is computed from [`ClockGuard::expiry_base`].
//! 4. After a forward jump, [`ClockGuard::carried_over`] moves the expiries of data that was alive before it.
//!
//! `timeline.rs` has these rules and reads no clock. [`SkewCorrectedClock`] gives gateways that share an object store
//! one time of day (`docs/decisions/0008`).

mod clocks;
mod guard;
mod timeline;

pub use clocks::{
    Clock, ManualClock, Random, SeededRandom, SkewCorrectedClock, SystemClock, SystemRandom, Timestamp, TimestampError,
};
pub use guard::{ClockGuard, ClockToggles, Suspension};
pub use timeline::{ClockRecord, Jump, RecordedSuspension};
