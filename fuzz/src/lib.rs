//! Fuzz targets: parsers of bytes from outside, with their invariants for any bytes.
//!
//! [`TARGETS`] has one target for each parser. The program `fuzz_targets/all.rs` gives them bytes that libFuzzer chooses
//! by coverage. The tests of this crate give them the seeds in `seeds` and some hundred mutations of each seed set.
//! Nothing here is part of the product: it reaches what the product does not export by the feature `internals`.

mod invariants;
mod targets;

#[cfg(test)]
mod mutation;
#[cfg(test)]
mod seeds;

pub use targets::{TARGETS, Target, target};
