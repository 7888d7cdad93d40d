//! Import and export of stores: folders, ZIP files and other servers of the same API.
//!
//! Everything uses the public API, so that any client can do the same. Records stream, a few at a time. This module
//! never touches a backend.
//!
//! 1. Plan. An import examines the source first: the stores that it would create, and everything that would not be
//!    transferred unchanged. Nothing is written before the plan is complete.
//! 2. Transfer. Records are copied in parallel, and their outcomes are recorded in the order of the keys.
//! 3. Progress. It is saved in that order, so that an interrupted import or export resumes after its last whole record.
//!
//! Archives carry a SHA-256 of each record, which an import verifies. Everything that is read is untrusted: files are
//! opened one name at a time below an open folder, and no link is followed (`directory.rs`).

mod api;
mod archive;
mod crawlee;
mod directory;
mod error;
mod export;
mod import;
mod pipeline;
mod progress_bar;
mod record;
mod remote;
mod source;

pub use api::{Api, TlsTrust, http_agent};
pub use error::{Error, Finding, Report, Result};
pub use export::{ExportResult, export};
pub use import::{ImportResult, Plan, import};
pub use record::media_type;
pub use remote::{Remote, store_addresses, store_not_found};
pub use source::{Naming, Size, Source, open};

/// Items for the fuzz targets, beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        archive::{IndexLine, ZipFile, file_name, read_manifest},
        directory::FileName,
        record::StoreManifest,
        source::SourceEntry,
    };
}
