//! HTTP messages: parsing of requests and creation of responses and errors. Nothing here knows a route or a store.

pub mod browser_policy;
pub mod content;
pub mod error;
pub mod links;
pub mod preconditions;
pub mod request;
pub mod response;
