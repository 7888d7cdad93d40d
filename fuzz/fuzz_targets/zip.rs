//! Gives the target `zip` whatever bytes libFuzzer chooses.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| larder::fuzzing::run("zip", bytes));
