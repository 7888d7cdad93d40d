//! Gives the target `route` whatever bytes libFuzzer chooses.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| larder::fuzzing::run("route", bytes));
