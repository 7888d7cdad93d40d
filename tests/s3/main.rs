//! The way to an object store, and everything that can go wrong on it.
//!
//! Tests put a proxy between the two sides of a connection: it counts the requests on the wire and injects faults. And
//! there is a mock of an object store that cannot be installed here.
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
mod client_over_mock_minio;
#[cfg(feature = "s3")]
mod clock_skew;
#[cfg(feature = "s3")]
mod decoding;
#[cfg(feature = "s3")]
mod environment;
#[cfg(feature = "s3")]
mod error_responses;
#[cfg(feature = "s3")]
mod faults;
#[cfg(feature = "s3")]
mod lifecycle;
#[cfg(feature = "s3")]
mod lifecycle_mock_minio;
mod mock_minio;
mod mock_minio_conformance;
mod proxy;
mod proxy_faults;
mod proxy_passthrough;
mod request_counts;
#[cfg(feature = "s3")]
mod sdk;
#[cfg(feature = "s3")]
mod signatures;
mod tiny;
#[cfg(feature = "s3")]
#[path = "../process/watcher.rs"]
mod watcher;
