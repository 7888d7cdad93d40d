//! HTTP client for other servers: connections, timeouts, and the marks of forwarded requests.
//!
//! [`Peer`] sends requests to another gateway over plain HTTP, to an upstream or to a collector, and streams the
//! responses back; [`Errands`] are this gateway's own requests. Neither knows the meaning of a request, and neither
//! sends one twice.

mod address;
mod answer;
#[cfg(feature = "s3")]
mod encryption;
mod errand;
mod error;
mod gateway;
mod idle;
mod outgoing;

pub use address::{InvalidPeerAddress, PeerAddress};
pub use answer::{Answer, AnswerBody};
pub use errand::{Answered, Errands};
pub use error::PeerError;
pub use gateway::{FORWARDED, Peer, RELAYED};

#[cfg(test)]
mod tests;
