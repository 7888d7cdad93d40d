//! Options of the embedded engine, and its fixed limits.

use std::path::PathBuf;

/// Maximum bytes of a value in the index; larger ones have files of their own.
pub const INLINE_LIMIT: usize = 64 * 1024;

/// Options of the embedded engine.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The data folder; created if it does not exist.
    pub folder: PathBuf,
}

impl EmbeddedOptions {
    /// Returns the defaults for `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}
