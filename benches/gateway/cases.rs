//! The cases, and the effort each may take.

use std::time::Duration;

use crate::load::case::{Case, Effort, KIB, MIB, Verb};

/// Connections that ask at once.
const CONNECTIONS: usize = 32;

/// Connections that ask at once for large records.
const FEW_CONNECTIONS: usize = 8;

const fn case(name: &'static str, verb: Verb, bytes: usize, keys: u64, connections: usize) -> Case {
    Case { name, verb, bytes, keys, connections }
}

/// All cases with many connections, in the order in which they are measured. Records that are read were written before.
pub const CASES: [Case; 6] = [
    case("GET 1 KiB", Verb::Get, KIB, 2_000, CONNECTIONS),
    case("PUT 1 KiB", Verb::Put, KIB, 2_000, CONNECTIONS),
    case("GET 64 KiB", Verb::Get, 64 * KIB, 200, CONNECTIONS),
    case("PUT 64 KiB", Verb::Put, 64 * KIB, 200, CONNECTIONS),
    case("GET 16 MiB", Verb::Get, 16 * MIB, 4, FEW_CONNECTIONS),
    case("PUT 16 MiB", Verb::Put, 16 * MIB, 4, FEW_CONNECTIONS),
];

/// The cases with one connection.
pub const ALONE: [Case; 2] = [case("GET 1 KiB", Verb::Get, KIB, 2_000, 1), case("PUT 1 KiB", Verb::Put, KIB, 2_000, 1)];

/// Returns the cases whose instructions are counted, for so many requests.
pub const fn counted(requests: u64) -> [Case; 2] {
    [
        case("GET 1 KiB", Verb::Get, KIB, requests, FEW_CONNECTIONS),
        case("PUT 1 KiB", Verb::Put, KIB, requests, FEW_CONNECTIONS),
    ]
}

/// For figures that are to be kept: less than six minutes in all.
pub const FULL: Effort = Effort { rounds: 15, round: Duration::from_millis(400), case: Duration::from_secs(30) };

/// For a look: less than two minutes in all.
pub const QUICK: Effort = Effort { rounds: 4, round: Duration::from_millis(250), case: Duration::from_secs(6) };

/// Rounds with one connection: a second each.
pub const ROUNDS_ALONE: usize = 5;

/// The length of such a round.
pub const ROUND_ALONE: Duration = Duration::from_secs(1);

/// Maximum number of rounds in which large records are written: an object store keeps overwritten data on its disk for
/// a while.
pub const ROUNDS_OF_LARGE: usize = 6;
