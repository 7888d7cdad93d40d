//! The program itself, from an operator's view: start, stop, limits, crashes, memory.
//!
//! Each test runs the real binary in a folder of its own and speaks HTTP to it over a socket. How hard the long ones
//! try is set by the environment (`scale`).

mod aborts;
mod administration;
mod backup;
mod behind_proxy;
#[cfg(feature = "s3")]
mod billed_requests;
#[cfg(feature = "s3")]
mod bucket;
mod check;
mod client;
mod cluster;
mod crash_recovery;
mod data_commands;
mod decompression_bombs;
mod doctor;
#[cfg(feature = "s3")]
mod encrypted;
mod expiry;
mod first_user;
mod floods;
mod folder;
mod formats;
mod histories;
mod hostile_server;
mod https;
mod image;
mod import_troubles;
mod large_records;
mod logs;
mod lost_folder;
#[cfg(feature = "s3")]
mod lost_installation;
mod metrics;
#[cfg(feature = "s3")]
mod migrate;
#[cfg(feature = "s3")]
#[expect(dead_code, unused_imports, clippy::disallowed_methods, reason = "other tests use more of it; it has no drain")]
#[path = "../s3/mock_minio/mod.rs"]
mod mock_minio;
mod orphans;
mod overload;
mod pattern;
mod program;
#[cfg(feature = "s3")]
#[expect(dead_code, clippy::disallowed_methods, reason = "other tests use more of it; it has no drain")]
#[path = "../s3/proxy/mod.rs"]
mod proxy;
mod reload;
mod relocation;
mod run;
mod scale;
mod secrets;
mod slow_clients;
#[cfg(feature = "s3")]
mod staleness;
mod start;
mod stop;
mod terminal;
mod traces;
mod transfer;
mod watched;
mod watcher;
