//! Another server, as this gateway speaks to it: connections, patience, and what marks a request as passed on.
//!
//! [`Peer`] sends requests, to another gateway over plain HTTP, to an upstream or to a collector, and hands the answers on as they come;
//! [`Errands`] are this gateway's own. Neither knows what they are about, and neither sends anything twice.

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
