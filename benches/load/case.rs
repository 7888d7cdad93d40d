//! Measured cases: kinds of requests, and the effort for each.

use std::time::Duration;

/// Bytes of a KiB.
pub const KIB: usize = 1024;
/// Bytes of a MiB.
pub const MIB: usize = 1024 * KIB;

/// The largest body of a case.
pub const LARGEST_BODY: usize = 16 * MIB;

/// Digits of a key's number.
const DIGITS: usize = 7;

/// Operation on a record.
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
    /// Name in the tables.
    pub name: &'static str,
    /// Operation.
    pub verb: Verb,
    /// Bytes of the record.
    pub bytes: usize,
    /// Records among which each request draws one.
    pub keys: u64,
    /// Connections that ask at once.
    pub connections: usize,
}

/// Duration and number of the rounds of a case. There are many short rounds: other load of the machine changes from
/// second to second, and two neighbouring rounds see most of it alike.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds with each of the servers.
    pub rounds: usize,
    /// No request of a round begins later than this after its start.
    pub round: Duration,
    /// No round of a case begins later than this after the case's start, but for the first.
    pub case: Duration,
}

/// Returns the key of a case's record of some number; all are of one length. Servers that store nothing read the size
/// of the response from it.
pub fn key(case: &Case, number: u64) -> String {
    let purpose = match case.verb {
        Verb::Get => "get",
        Verb::Put if case.keys > 1 => "many",
        Verb::Put => "one",
    };
    format!("{purpose}-{}-{number:0DIGITS$}", case.bytes)
}

/// Returns the size in bytes of the record whose key ends a path; `None` if that is no key of a case.
pub fn bytes_of(path: &str) -> Option<usize> {
    let (_, key) = path.rsplit_once('/')?;
    let mut parts = key.split('-').skip(1);
    let (bytes, number) = (parts.next()?, parts.next()?);
    let is_number = number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && parts.next().is_none() { bytes.parse().ok() } else { None }
}

/// Returns the bytes of every record, cut to its length: no two neighbouring pages are alike.
pub fn pattern(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
