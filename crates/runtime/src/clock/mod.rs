//! Injected time and randomness.
//!
//! Only the implementations in this module read the system's clock and its randomness, so that tests can move time by
//! hand and repeat random sequences from a seed. It schedules nothing: that is `jobs`.

mod clocks;
mod guard;
mod random;
mod skew_corrected;
mod timeline;
mod timestamp;

pub use clocks::{Clock, ManualClock, SystemClock};
pub use guard::{ClockGuard, ClockSafeguards, Suspension};
pub use random::{Random, SeededRandom, SystemRandom};
pub use skew_corrected::SkewCorrectedClock;
pub use timeline::{ClockRecord, Jump, RecordedSuspension};
pub use timestamp::{Timestamp, TimestampError};
