//! Connections to other servers: races the addresses of a name, and uses the proxy that the environment names.
//!
//! The module opens TCP connections. It knows neither TLS nor any HTTP beyond requests to a proxy, and keeps no
//! connection.

mod connect;
mod proxy;

pub use connect::connect;
pub use proxy::{Proxies, Proxy};
