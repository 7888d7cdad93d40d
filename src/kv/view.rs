//! A gateway's view of a store, with its time.

use std::time::Duration;

use crate::storage::ETag;

use super::document::Document;

/// A store as of the last read of its document.
#[derive(Debug)]
pub struct StoreView {
    /// The document.
    pub document: Document,
    /// Its validator, which the next write must match.
    pub etag: ETag,
    /// Time at which the read was sent, by the monotonic clock: a view's age counts from then, since the response
    /// need not have been true any longer.
    pub read_at: Duration,
    /// Stored size of the document in bytes: its weight in a cache.
    pub weight: u32,
}
