//! Gives the target `config_file` whatever bytes libFuzzer chooses.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| larder::fuzzing::run("config_file", bytes));
