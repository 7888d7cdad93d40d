//! Time and chance, injected.
//!
//! Nothing in Larder reads the system's clock or its randomness but the implementations in this room, so that
//! tests can move time by hand and repeat chance by a seed. It does not schedule anything: that is `jobs`.

mod adjusted;
mod guard;
mod manual;
mod random;
mod source;
mod system;
mod timestamp;

pub use adjusted::AdjustedClock;
pub use guard::{ClockGuard, Suspension};
pub use manual::ManualClock;
pub use random::{Random, SeededRandom, SystemRandom};
pub use source::Clock;
pub use system::SystemClock;
pub use timestamp::{Timestamp, TimestampError};
