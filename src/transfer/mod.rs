//! Import and export of stores: folders, ZIP files and other servers of the same API.
//!
//! All of it uses the public API, so that any client can do the same. Records stream, a few at a time. Progress is
//! recorded in the order of the keys, so that an interrupted transfer is resumable.

mod agent;
mod api;
mod archive;
mod attempts;
mod crawlee;
mod crawlee_keys;
mod crawlee_store;
mod directory;
mod error;
mod export;
mod folder;
mod import;
mod index;
mod media_type;
mod naming;
mod path;
mod pipeline;
mod plan;
mod progress;
mod progress_display;
mod record;
mod remote;
mod report;
mod snapshot;
mod source;
mod store_reference;
mod zipped;

pub use agent::{Trust, agent};
pub use api::Api;
pub use error::{Error, Result};
pub use export::{Exported, export};
pub use import::{Imported, import};
pub use media_type::media_type;
pub use naming::Naming;
pub use path::open;
pub use plan::Plan;
pub use remote::Remote;
pub use report::{Finding, Report};
pub use source::{Size, Source};
pub use store_reference::{absent_store, store_addresses};

/// What the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        archive::{IndexLine, file_name},
        directory::FileName,
        index::read_sheet,
        record::StoreSheet,
        source::SourceEntry,
        zipped::ZipFile,
    };
}
