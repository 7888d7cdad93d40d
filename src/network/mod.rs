//! Connections to other servers: the addresses of a name are raced, and a proxy is used where the environment names one.
//!
//! The room opens TCP connections. It knows neither TLS nor HTTP beyond what a proxy is asked, and keeps no connection.

mod connect;
mod proxy;

pub use connect::connect;
pub use proxy::{Proxies, Proxy};
