//! Gives the target `file_names` whatever bytes libFuzzer chooses.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| larder::fuzzing::run("file_names", bytes));
