//! The program itself, from an operator's view: start, stop, limits, crashes, memory.
//!
//! Each test runs the real binary in a folder of its own and speaks HTTP to it over a socket. How hard the long ones
//! try is set by the environment (`effort`).

mod aborts;
mod access_log;
mod administration;
mod audit_log;
mod backup;
mod behind_proxy;
mod big;
mod bombs;
#[cfg(feature = "s3")]
mod bucket;
mod check;
mod client;
mod colours;
mod doctor;
mod effort;
#[cfg(feature = "s3")]
mod encrypted;
mod everyday;
mod expiry;
mod first_user;
mod floods;
mod folder;
mod formats;
mod histories;
mod hostile_server;
mod image;
mod import_troubles;
mod leftovers;
mod limits;
mod lost_folder;
#[cfg(feature = "s3")]
mod lost_installation;
mod manual;
#[cfg(feature = "s3")]
mod metered;
mod metrics;
#[cfg(feature = "s3")]
mod migrate;
#[cfg(feature = "s3")]
#[expect(dead_code, unused_imports, clippy::disallowed_methods, reason = "other tests use more of it; it has no drain")]
#[path = "../s3/minio/mod.rs"]
mod minio;
mod moves;
mod overload;
mod pattern;
mod program;
#[cfg(feature = "s3")]
#[expect(dead_code, clippy::disallowed_methods, reason = "other tests use more of it; it has no drain")]
#[path = "../s3/proxy/mod.rs"]
mod proxy;
mod reload;
mod run;
mod secrets;
mod secure;
mod site;
#[cfg(feature = "s3")]
mod staleness;
mod start;
mod stop;
mod torture;
mod traces;
mod transfer;
mod watched;
mod watcher;
