//! Parsers of bytes from outside, with their invariants for any bytes.
//!
//! [`TARGETS`] has one target for each parser. The program `fuzz/` gives them bytes that libFuzzer chooses by coverage,
//! for as long as one likes. The tests here give them the seeds in `fuzz/seeds` and some hundred variations of each
//! kind. The invariants are beside the parsers, in each module's `properties`. None of this is part of the program.

mod targets;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod variation;

pub use targets::{TARGETS, Target, run};
