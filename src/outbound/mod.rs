//! HTTP client for other servers: connections, timeouts, and the marks of forwarded requests.
//!
//! [`HttpClient`] sends requests to another gateway over plain HTTP, to an upstream or to a collector, and streams the
//! responses back; [`LeaderClient`] are this gateway's own requests. Neither knows the meaning of a request, and neither
//! sends one twice.

mod address;
mod bodies;
mod http_client;
mod leader_client;
#[cfg(feature = "s3")]
mod tls;

pub use address::{InvalidServerAddress, ServerAddress};
pub use bodies::{ClientResponse, ClientResponseBody};
pub use http_client::{FORWARDED, HttpClient, HttpClientError, RELAYED};
pub use leader_client::{LeaderClient, RpcOutcome};

#[cfg(test)]
mod tests;
