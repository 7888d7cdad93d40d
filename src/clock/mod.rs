//! Time and chance, injected.
//!
//! Nothing in Larder reads the system's clock or its randomness but the implementations in this room, so that
//! tests can move time by hand and repeat chance by a seed. It does not schedule anything: that is `jobs`.

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
