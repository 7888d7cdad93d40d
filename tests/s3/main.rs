//! The way to an object store, and everything that can go wrong on it.
//!
//! Tests put a proxy between the two sides of a connection: it counts the requests on the wire and injects faults. And
//! there is a stand-in for an object store that cannot be installed here.
#![expect(clippy::unwrap_used, reason = "what fails in a test should end it at once")]
#![expect(
    clippy::disallowed_methods,
    reason = "time on the wire is the machine's, and a test's tasks end with its runtime"
)]

#[cfg(feature = "s3")]
mod abandoned_uploads;
#[cfg(feature = "s3")]
mod behind_proxy;
#[cfg(feature = "s3")]
mod clocks;
#[cfg(feature = "s3")]
mod decoding;
#[cfg(feature = "s3")]
mod environment;
#[cfg(feature = "s3")]
mod faults;
#[cfg(feature = "s3")]
mod lifecycle;
#[cfg(feature = "s3")]
mod lifecycle_over_minio;
mod minio;
mod minio_stands_in;
#[cfg(feature = "s3")]
#[path = "../object_store/mod.rs"]
mod object_store;
#[cfg(feature = "s3")]
mod over_minio;
mod proxy;
mod proxy_breaks;
mod proxy_works;
#[cfg(feature = "s3")]
mod refusals;
#[cfg(feature = "s3")]
mod sdk;
#[cfg(feature = "s3")]
mod signatures;
mod tiny;
#[cfg(feature = "s3")]
#[path = "../process/watcher.rs"]
mod watcher;
mod wire;
