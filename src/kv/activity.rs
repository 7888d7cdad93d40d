//! Use of stores.

use crate::clock::Timestamp;

use super::document::Stats;

/// Use of a store so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityCounts {
    /// How often.
    pub stats: Stats,
    /// Last change of records or settings.
    pub modified_at: Timestamp,
    /// Last use.
    pub accessed_at: Timestamp,
}

/// Activity.
#[derive(Debug)]
pub struct Activity;
