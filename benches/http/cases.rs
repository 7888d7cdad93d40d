//! The cases, and the effort each may take.

use std::time::Duration;

use crate::load::case::{Case, Effort, KIB, MIB, Verb};

/// Connections that ask at once.
const CONNECTIONS: usize = 32;

const fn case(name: &'static str, verb: Verb, bytes: usize, keys: u64) -> Case {
    Case { name, verb, bytes, keys, connections: CONNECTIONS }
}

/// All cases, in the order in which they are measured. Records that are read were written before.
pub const CASES: [Case; 9] = [
    case("GET 1 KiB", Verb::Get, KIB, 2_000),
    case("PUT 1 KiB, many keys", Verb::Put, KIB, 100_000),
    case("PUT 1 KiB, one key", Verb::Put, KIB, 1),
    case("GET 64 KiB", Verb::Get, 64 * KIB, 200),
    case("PUT 64 KiB, many keys", Verb::Put, 64 * KIB, 1_000),
    case("PUT 64 KiB, one key", Verb::Put, 64 * KIB, 1),
    case("GET 16 MiB", Verb::Get, 16 * MIB, 4),
    case("PUT 16 MiB, many keys", Verb::Put, 16 * MIB, 64),
    case("PUT 16 MiB, one key", Verb::Put, 16 * MIB, 1),
];

/// For figures that are to be kept: less than three minutes in all.
pub const FULL: Effort = Effort { rounds: 15, round: Duration::from_millis(300), case: Duration::from_secs(14) };

/// For a look: less than 40 seconds in all.
pub const QUICK: Effort = Effort { rounds: 5, round: Duration::from_millis(200), case: Duration::from_millis(2_500) };
