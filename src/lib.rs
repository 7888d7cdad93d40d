//! Larder: the key-value store of the Apify platform over any object store.

pub mod api;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gateway;
pub mod jobs;
pub mod kv;
pub mod network;
pub mod peer;
pub mod runs;
pub mod server;
pub mod storage;
pub mod telemetry;
pub mod transfer;
