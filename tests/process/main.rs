//! The program itself, as whoever runs it meets it: start, stop, limits, crashes, memory.
//!
//! Each test runs the real binary in a folder of its own and speaks HTTP to it over a socket. How hard the long ones
//! try is set by the environment (`effort`).

mod aborts;
mod administration;
mod big;
mod bombs;
#[cfg(feature = "s3")]
mod bucket;
mod check;
mod client;
mod doctor;
mod effort;
#[cfg(feature = "s3")]
mod encrypted;
mod expiry;
mod first_user;
mod folder;
mod histories;
mod image;
mod leftovers;
mod limits;
mod manual;
mod metrics;
mod moves;
mod overload;
mod pattern;
mod program;
#[cfg(feature = "s3")]
#[expect(dead_code, unused_imports, clippy::disallowed_methods, reason = "other tests use more of it; it has no drain")]
#[path = "../s3/proxy/mod.rs"]
mod proxy;
mod run;
mod secrets;
mod site;
#[cfg(feature = "s3")]
mod staleness;
mod start;
mod stop;
mod torture;
mod transfer;
