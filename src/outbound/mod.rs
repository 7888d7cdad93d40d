//! HTTP client for other servers: connections, timeouts, and the marks of forwarded requests.
//!
//! [`Peer`] sends requests to another gateway over plain HTTP, to an upstream or to a collector, and streams the
//! responses back; [`Errands`] are this gateway's own requests. Neither knows the meaning of a request, and neither
//! sends one twice.

mod address;
mod bodies;
#[cfg(feature = "s3")]
mod encryption;
mod http_client;
mod leader_client;

pub use address::{InvalidPeerAddress, PeerAddress};
pub use bodies::{Answer, AnswerBody};
pub use http_client::{FORWARDED, Peer, PeerError, RELAYED};
pub use leader_client::{Answered, Errands};

#[cfg(test)]
mod tests;
