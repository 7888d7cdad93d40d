//! The operations of an object store by name, for metrics and fault injection.

use larder_runtime::telemetry::CallClass;

/// An operation of an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`ObjectStore::put`](super::ObjectStore::put).
    Put,
    /// [`ObjectStore::get`](super::ObjectStore::get).
    Get,
    /// [`ObjectStore::head`](super::ObjectStore::head).
    Head,
    /// [`ObjectStore::delete`](super::ObjectStore::delete).
    Delete,
    /// [`ObjectStore::delete_many`](super::ObjectStore::delete_many).
    DeleteMany,
    /// [`ObjectStore::list`](super::ObjectStore::list).
    List,
    /// [`ObjectStore::copy`](super::ObjectStore::copy).
    Copy,
    /// [`ObjectStore::check`](super::ObjectStore::check).
    Check,
}

impl Operation {
    /// All operations, in the order of their numbers.
    pub const ALL: [Self; 8] =
        [Self::Put, Self::Get, Self::Head, Self::Delete, Self::DeleteMany, Self::List, Self::Copy, Self::Check];

    /// Returns the name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::DeleteMany => "delete_many",
            Self::List => "list",
            Self::Copy => "copy",
            Self::Check => "check",
        }
    }

    /// Returns the name in traces.
    pub fn title(self) -> &'static str {
        match self {
            Self::Put => "object put",
            Self::Get => "object get",
            Self::Head => "object head",
            Self::Delete => "object delete",
            Self::DeleteMany => "object delete_many",
            Self::List => "object list",
            Self::Copy => "object copy",
            Self::Check => "object check",
        }
    }

    /// Returns the class in which a vendor would bill it.
    pub fn class(self) -> CallClass {
        match self {
            Self::Put | Self::List | Self::Copy | Self::Check => CallClass::A,
            Self::Get | Self::Head => CallClass::B,
            Self::Delete | Self::DeleteMany => CallClass::Free,
        }
    }
}
