//! Objects: bytes with a few attributes, under a key.
//!
//! [`ObjectStore`] is the interface to all durable data, and has the contract that every implementation keeps. This
//! crate does not know the meaning of the bytes: neither stores nor records nor accounts.
//!
//! * Engines: [`embedded`], a folder; `s3` (feature `s3`), a bucket; [`in_memory`], the reference for tests.
//! * Layers: [`metrics_layer`] counts calls and charges their costs; [`single_writer`] emulates conditional writes;
//!   [`read_cache`] caches small objects; [`fence`] refuses all calls while the fence is raised.
//! * [`MemoryBudget`] bounds the memory that is held on behalf of clients.
//! * [`diagnostics`] probes an object store.
//!
//! A write that was sent whole and got no response is in doubt: it may still take effect. Engines never repeat it. They
//! return [`Error::Timeout`] or [`Error::Unavailable`], and the caller reads the object to learn the outcome.

mod body;
mod conditional_write_probe;
pub mod diagnostics;
pub mod embedded;
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

pub use body::{BodyError, ByteStream, ContentHasher};
pub use lifecycle::{
    Lifecycle, LifecycleError, Reconciled, UnfinishedUpload, UnfitRules, UploadPage, UploadPosition, WantedRule,
    WantedRules,
};
pub use memory_budget::{DEFAULT_LIMIT as DEFAULT_MEMORY_LIMIT, Lease, MemoryBudget};
pub use object::{
    Attributes, ByteRange, ETag, GetOptions, ListOptions, ListPage, ListedObject, Object, ObjectMeta, Precondition,
    PutOptions, PutOutcome,
};
pub use store::{
    BoxError, Error, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Operation, RejectedFor, Result, in_background,
    is_background,
};
