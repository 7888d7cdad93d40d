//! An HTTP/1.1 client with only the features that an object store needs.
//!
//! A request is one head and one body of known length; a response is a head and a stream. The task that waits for the
//! response drives the connection itself, without queues or wake-ups in between: measured, that is half the processor
//! time of a general client. This module knows neither signatures nor object stores.

mod client;
mod connection;
mod deadline;
mod error;
mod exchange;
mod framing;
mod head;
mod incoming;
mod pool;
mod request;
mod socket;
mod target;
mod timeouts;
mod tls;

pub use client::WireClient;
pub use error::{Phase, WireError};
pub use head::Head;
pub use incoming::Incoming;
pub use request::{Outgoing, WireRequest};
pub use target::{InvalidTarget, Target};
pub use timeouts::Timeouts;
pub use tls::{Trust, TrustError};

/// What the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::framing::Framing;
}
