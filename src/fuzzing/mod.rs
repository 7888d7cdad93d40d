//! What reads bytes from outside, with what must hold of it whatever the bytes are.
//!
//! [`TARGETS`] has one target for each parser. The program `fuzz/` gives them bytes that libFuzzer chooses by the code that
//! they reach, for as long as one likes; the tests here give them the seeds in `fuzz/seeds` and some hundred variations of
//! each kind. What must hold is written beside the parsers, in each room's `properties`. None of this is part of the program.

mod targets;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod variation;

pub use targets::{TARGETS, Target, run};
