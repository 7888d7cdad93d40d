//! Objects: bytes with a few attributes, under a key.
//!
//! [`ObjectStore`] is the interface to all durable data. This module has its contract, the implementations ([`in_memory`],
//! the reference; [`embedded`], a folder) and the decorators ([`metrics_layer`]; [`read_cache`]; [`fence`]; [`single_writer`],
//! which emulates conditional writes). It does not know the meaning of the bytes.

mod body;
mod conditional_write_probe;
mod content_hash;
pub mod diagnostics;
pub mod embedded;
mod error;
pub mod fence;
pub mod in_memory;
mod lifecycle;
mod memory_budget;
pub mod metrics_layer;
mod object;
pub mod read_cache;
#[cfg(feature = "s3")]
pub mod s3;
pub mod single_writer;
mod store;

pub use body::{BodyError, ByteStream};
pub use content_hash::ContentHasher;
pub use error::{BoxError, Error, RejectedFor, Result};
pub use lifecycle::{
    Lifecycle, LifecycleError, Reconciled, UnfinishedUpload, UnfitRules, UploadMark, UploadPage, WantedRule,
    WantedRules,
};
pub use memory_budget::{DEFAULT_LIMIT as DEFAULT_MEMORY_LIMIT, Lease, MemoryBudget};
pub use object::{
    Attributes, ByteRange, ETag, GetOptions, ListOptions, ListPage, ListedObject, Object, ObjectMeta, Precondition,
    PutOptions, PutOutcome,
};
pub use store::{MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Operation, in_background, is_background};
