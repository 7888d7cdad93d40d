//! HTTP messages: parsing of requests and creation of responses and errors. Nothing here knows a route or a store.
//!
//! An unread body is opened only with a grant (`UnopenedBody` in `request.rs`). A body that is streamed later carries
//! the request context with it, since a stream does not inherit it.

pub mod browser_policy;
pub mod content;
pub mod error;
pub mod preconditions;
pub mod request;
pub mod response;
