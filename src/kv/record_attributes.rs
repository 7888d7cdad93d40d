//! What rides beside a record's bytes.

use super::coding::ContentCoding;

/// What rides beside a record's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordAttributes {
    /// The media type, verbatim.
    pub content_type: String,
    /// The coding of the stored bytes, if any.
    pub content_coding: Option<ContentCoding>,
}
