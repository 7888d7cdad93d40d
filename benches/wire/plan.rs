//! What is measured: the cases, and the effort each may take.

use std::time::Duration;

/// Connections that ask at once.
pub const CONNECTIONS: usize = 32;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The largest body of a case.
pub const LARGEST_BODY: usize = 16 * MIB;

/// What is done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It is read.
    Get,
    /// It is written.
    Put,
}

/// A kind of request.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// How it stands in the tables.
    pub name: &'static str,
    /// What is done.
    pub verb: Verb,
    /// Bytes of the record.
    pub bytes: usize,
    /// Records among which each request draws one.
    pub keys: u64,
}

/// All cases, in the order in which they are measured. Records that are read were written before.
pub const CASES: [Case; 9] = [
    Case { name: "GET 1 KiB", verb: Verb::Get, bytes: KIB, keys: 2_000 },
    Case { name: "PUT 1 KiB, many keys", verb: Verb::Put, bytes: KIB, keys: 100_000 },
    Case { name: "PUT 1 KiB, one key", verb: Verb::Put, bytes: KIB, keys: 1 },
    Case { name: "GET 64 KiB", verb: Verb::Get, bytes: 64 * KIB, keys: 200 },
    Case { name: "PUT 64 KiB, many keys", verb: Verb::Put, bytes: 64 * KIB, keys: 1_000 },
    Case { name: "PUT 64 KiB, one key", verb: Verb::Put, bytes: 64 * KIB, keys: 1 },
    Case { name: "GET 16 MiB", verb: Verb::Get, bytes: 16 * MIB, keys: 4 },
    Case { name: "PUT 16 MiB, many keys", verb: Verb::Put, bytes: 16 * MIB, keys: 64 },
    Case { name: "PUT 16 MiB, one key", verb: Verb::Put, bytes: 16 * MIB, keys: 1 },
];

/// How long and how often a case is measured: many short rounds, since what else the machine does changes from
/// second to second, and two neighbouring rounds see most of it alike.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds with each of the two servers.
    pub rounds: usize,
    /// No request of a round begins later than this after its start.
    pub round: Duration,
    /// No round of a case begins later than this after the case's start, but for the first.
    pub case: Duration,
}

impl Effort {
    /// For figures that are to be kept: less than three minutes in all.
    pub const FULL: Self = Self { rounds: 15, round: Duration::from_millis(300), case: Duration::from_secs(14) };
    /// For a look: less than 40 seconds in all.
    pub const QUICK: Self = Self { rounds: 5, round: Duration::from_millis(200), case: Duration::from_millis(2_500) };
}

/// The key of a case's record of some number begins with this; seven digits follow. The bare server reads from it how
/// many bytes are asked for.
pub fn key_prefix(case: &Case) -> String {
    let (purpose, bytes) = match case.verb {
        Verb::Get => ("get", case.bytes),
        Verb::Put if case.keys > 1 => ("many", case.bytes),
        Verb::Put => ("one", case.bytes),
    };
    format!("{purpose}-{bytes}-")
}

/// The bytes of every record, cut to its length: no two neighbouring pages are alike.
pub fn pattern(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
