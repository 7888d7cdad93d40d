//! Another gateway, as this one speaks to it: connections, patience, and what marks a request as passed on.
//!
//! [`Peer`] sends requests over plain HTTP and hands the answers on as they come; [`Errands`] are this gateway's own. Neither
//! knows what they are about, and neither sends anything twice.

mod address;
mod answer;
mod errand;
mod error;
mod gateway;
mod idle;
mod outgoing;

pub use address::{InvalidPeerAddress, PeerAddress};
pub use answer::{Answer, AnswerBody};
pub use errand::{Answered, Errands};
pub use error::PeerError;
pub use gateway::{FORWARDED, Peer};

#[cfg(test)]
mod tests;
