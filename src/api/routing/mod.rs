//! Routing from method, path and query to a call. Pure: no look-ups.

pub mod admin_routes;
pub mod route;
pub mod run_routes;
pub mod store_routes;
