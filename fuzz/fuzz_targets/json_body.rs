//! Gives the target `json_body` whatever bytes libFuzzer chooses.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| larder::fuzzing::run("json_body", bytes));
