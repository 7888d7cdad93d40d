//! Metadata of a record.

use super::coding::ContentCoding;

/// Metadata of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordAttributes {
    /// Media type, verbatim.
    pub content_type: String,
    /// Coding of the stored bytes, if any.
    pub content_coding: Option<ContentCoding>,
}
