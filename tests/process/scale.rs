//! Effort of the long tests: little in the ordinary run, much on request.

use std::{
    env,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Crashes in a row.
pub fn crash_rounds() -> usize {
    number("LARDER_CHAOS_ROUNDS", 10)
}

/// Returns the duration of a history.
pub fn history_duration() -> Duration {
    Duration::from_secs(number("LARDER_CHAOS_SECONDS", 15))
}

/// Returns the seed of all choices.
pub fn history_seed() -> u64 {
    number("LARDER_CHAOS_SEED", RandomState::new().hash_one(0))
}

/// Gateways before a bucket.
#[cfg(feature = "s3")]
pub fn history_gateways() -> usize {
    number("LARDER_CHAOS_GATEWAYS", 2)
}

/// Size of the record that must not fit into memory.
pub fn big_record_bytes() -> u64 {
    number("LARDER_BIG_RECORD_BYTES", 1 << 30)
}

/// Records of each store that is moved.
pub fn move_records() -> usize {
    number("LARDER_MOVE_RECORDS", 300)
}

/// Changes of each store, with a gateway that is killed or paused at each.
pub fn move_rounds() -> usize {
    number("LARDER_MOVE_ROUNDS", 3)
}

/// Records in the folder whose start is timed.
pub fn start_records() -> usize {
    number("LARDER_START_RECORDS", 5_000)
}

/// Records of the store that is exported and imported.
pub fn transfer_records() -> usize {
    number("LARDER_TRANSFER_RECORDS", 10_000)
}

#[expect(clippy::disallowed_methods, reason = "how hard a test tries is no setting of the program")]
fn number<N: std::str::FromStr>(variable: &str, ordinary: N) -> N {
    match env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")),
        Err(_) => ordinary,
    }
}
