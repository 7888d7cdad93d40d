//! Routing from method, path and query to a call. Pure: no look-ups.
//!
//! Segments are split before they are decoded, so that `a%2Fb` is one (bad) key and not two segments. Routing reads no
//! body and decides on no access.

pub mod route;
pub mod routes;
