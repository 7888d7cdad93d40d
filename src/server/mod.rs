//! The server side of HTTP/1.1, plain or over TLS: a listener, its connections, and their limits.
//!
//! [`Server`] accepts connections, reads requests with hyper and gives each to a [`Handler`]. It enforces limits on
//! clients ([`ServerOptions`]), survives a handler that panics, and drains on shutdown. It knows no routes, and bodies
//! only as streams of bytes.
//!
//! * **Threads.** A connection stays on one thread from its first byte to its last, with all work for it ([`Workers`];
//!   reasons: `docs/decisions/0011`).
//! * **TLS.** Activity timeouts are inside the encryption, so that limits are about requests and not about TLS records.
//!   [`Tls`] replaces the certificate for new handshakes.
//! * **Client addresses.** [`ClientAddr`] comes from the peer of the connection, and from the fields that trusted
//!   proxies set. No other code reads those fields.
//!
//! A drain has these steps.
//!
//! 1. The [`DrainSignal`] begins: readiness is lost, and every response closes its connection. Connections are still
//!    accepted until the drain delay is over.
//! 2. The listener is closed, and so are connections without a request.
//! 3. Requests in flight finish. At the drain timeout the rest is aborted and counted in [`Drained`].

mod accept;
mod client_addr;
mod connection;
mod connection_timeouts;
mod handler;
mod limits;
mod socket;
mod tls;

pub use accept::{BindError, DrainSignal, Drained, Server, Workers};
pub use client_addr::{
    ClientAddr, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, InvalidTrustedProxies, TrustedProxies,
};
pub use handler::{Handler, RequestBody, allow_any_origin};
pub use limits::{ServerOptions, raise_file_limit, reachable_address};
pub use tls::{Tls, TlsError, TlsFiles, Validity};

#[cfg(test)]
mod tests;
