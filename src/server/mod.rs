//! The server side of HTTP/1.1, plain or over TLS: a listener, its connections, and their limits.
//!
//! [`Server`] accepts connections, reads requests with hyper and gives each to a [`Handler`]. It enforces limits on
//! clients ([`ServerOptions`]), survives a handler that panics, and drains on shutdown. It knows no routes, and bodies
//! only as streams of bytes.

mod accept;
mod client_addr;
mod connection;
mod connection_timeouts;
mod handler;
mod limits;
mod reject;
mod socket;
mod tls;
mod workers;

pub use accept::{BindError, DrainSignal, Drained, Server};
pub use client_addr::{
    ClientAddr, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, InvalidTrustedProxies, TrustedProxies,
};
pub use handler::{Handler, RequestBody, allow_any_origin};
pub use limits::{ServerOptions, raise_file_limit, reachable_address};
pub use tls::{Tls, TlsError, TlsFiles, Validity};
pub use workers::Workers;

#[cfg(test)]
mod tests;
