//! HTTP client for other servers: connections, timeouts, and the marks of forwarded requests.
//!
//! [`HttpClient`] sends requests to another gateway over plain HTTP, to an upstream or to a collector, and streams the
//! responses back; [`LeaderClient`] sends this gateway's own requests. Neither knows the meaning of a request, and
//! neither sends one twice. Requests to the object store have a client of their own (`storage::s3`).
//!
//! * A request carries the mark [`FORWARDED`] or [`RELAYED`]. A gateway that would have to pass on a marked request
//!   refuses it, so that no request goes in a circle.
//! * An idle connection may turn out to be closed. Then another one is tried, but only while nothing of the request was
//!   sent.
//! * A request fails if the server makes no progress within its timeout: 30 seconds for a leader, two minutes for an
//!   upstream, 10 seconds for a collector. Time for which the client keeps the server waiting does not count.

mod address;
mod bodies;
mod http_client;
#[cfg(feature = "s3")]
mod tls;

pub use address::{InvalidServerAddress, ServerAddress};
pub use bodies::{ClientResponse, ClientResponseBody};
pub use http_client::{FORWARDED, HttpClient, HttpClientError, LeaderClient, RELAYED, RpcOutcome};

#[cfg(test)]
mod tests;
