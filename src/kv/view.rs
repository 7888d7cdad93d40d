//! What a gateway knows of a store, and since when.

use std::time::Duration;

use crate::storage::ETag;

use super::document::Document;

/// A store as it was when its document was read.
#[derive(Debug)]
pub struct StoreView {
    /// The document.
    pub document: Document,
    /// Its validator: what the next write of it must match.
    pub etag: ETag,
    /// When the read was sent, by the monotonic clock: a view's age counts from then, since the answer may have been
    /// true no longer than that.
    pub read_at: Duration,
    /// Bytes of the document as it is stored: what the view weighs in a cache.
    pub weight: u32,
}
