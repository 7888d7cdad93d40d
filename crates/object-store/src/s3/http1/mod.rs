//! An HTTP/1.1 client with only the features that an object store needs.
//!
//! A request is one head and one body of known length; a response is a head and a stream. The task that waits for the
//! response drives the connection itself, without queues or wake-ups in between: measured, that is half the processor
//! time of a general client. This module knows neither signatures nor object stores.

mod client;
mod connection;
mod exchange;
mod response;

pub use client::{Http1Client, Http1Request, RequestBody, Timeouts};
pub use connection::{Endpoint, InvalidEndpoint, TlsRoots, TlsRootsError};
pub use exchange::{Http1Error, Phase};
pub use response::{Head, Response};

/// Functions that the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::response::Framing;
}
