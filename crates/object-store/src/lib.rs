//! Objects: bytes with a few attributes, under a key.
//!
//! [`ObjectStore`] is the interface to all durable data. This module has its contract, the implementations ([`memory`],
//! the reference; [`embedded`], a folder) and the decorators ([`measured`]; [`cached`]; [`fenced`]; [`sole_writer`],
//! which emulates conditional writes; [`faulty`] and [`unconditional`] for tests). It does not know the meaning of the
//! bytes.

mod announced;
mod body;
mod budget;
pub mod cached;
mod cause;
mod conditions;
pub mod embedded;
mod error;
pub mod examination;
pub mod faulty;
pub mod fenced;
mod fingerprint;
mod lifecycle;
pub mod measured;
pub mod memory;
mod object;
mod operation;
mod priority;
#[cfg(feature = "s3")]
pub mod s3;
pub mod sole_writer;
mod store;
pub mod unconditional;

pub use body::{BodyError, ByteStream};
pub use budget::{DEFAULT_LIMIT as DEFAULT_MEMORY_LIMIT, Lease, MemoryBudget};
pub use cause::BoxError;
pub use error::{Error, RejectedFor, Result};
pub use fingerprint::Fingerprint;
pub use lifecycle::{
    Lifecycle, LifecycleError, Reconciled, UnfinishedUpload, UnfitRules, UploadMark, UploadPage, WantedRule,
    WantedRules,
};
pub use object::{
    Attributes, ByteRange, ETag, GetOptions, ListOptions, ListPage, ListedObject, Object, ObjectMeta, Precondition,
    PutOptions, PutOutcome,
};
pub use operation::Operation;
pub use priority::{in_background, is_background};
pub use store::{MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore};
