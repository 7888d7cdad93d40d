//! The server side of HTTP/1.1, plain or over TLS: a listener, its connections, and their limits.
//!
//! [`Server`] accepts connections, reads requests with hyper and gives each to a [`Handler`]. It enforces limits on
//! clients ([`ServerOptions`]), survives a handler that panics, and drains on shutdown. It knows no routes, and bodies
//! only as streams of bytes.

mod accept;
mod answers;
mod connection;
mod cross_origin;
mod descriptors;
mod handler;
mod leaving;
mod options;
mod pulse;
mod refusal;
mod shares;
mod socket;
mod source;
mod tls;
mod validity;
mod workers;

pub use accept::{BindError, Drained, Server};
pub use cross_origin::allow_any_origin;
pub use descriptors::raise_file_limit;
pub use handler::{Handler, RequestBody};
pub use leaving::Leaving;
pub use options::{ServerOptions, reachable_address};
pub use source::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, InvalidNetwork, Networks, Source};
pub use tls::{Tls, TlsError, TlsFiles};
pub use validity::Validity;
pub use workers::Workers;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod tests;
