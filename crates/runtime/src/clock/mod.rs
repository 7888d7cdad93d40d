//! Injected time and randomness.
//!
//! Only the implementations in this module read the system's clock and its randomness, so that tests can move time by
//! hand and repeat random sequences from a seed. It schedules nothing: that is `jobs`.

mod adjusted;
mod guard;
mod jump;
mod manual;
mod random;
mod record;
mod source;
mod system;
#[cfg(test)]
mod tests;
mod timeline;
mod timestamp;

pub use adjusted::AdjustedClock;
pub use guard::{ClockGuard, ClockSafeguards, Suspension};
pub use jump::Jump;
pub use manual::ManualClock;
pub use random::{Random, SeededRandom, SystemRandom};
pub use record::{ClockRecord, RecordedSuspension};
pub use source::Clock;
pub use system::SystemClock;
pub use timestamp::{Timestamp, TimestampError};
