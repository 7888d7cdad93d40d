//! What can be chosen about the embedded engine, and the limits that cannot.

use std::path::PathBuf;

/// Values of up to this many bytes stand in the index, larger ones in files of their own.
pub const INLINE_LIMIT: usize = 64 * 1024;

/// What can be chosen about the embedded engine.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The folder that holds everything; made when it is not there.
    pub folder: PathBuf,
}

impl EmbeddedOptions {
    /// The defaults, in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}
