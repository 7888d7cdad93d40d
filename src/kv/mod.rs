//! The domain: stores, records, and all rules about them.
//!
//! [`Catalog`] holds the stores, [`Records`] their contents; both persist everything as objects. This module knows no
//! HTTP, no caller and no vendor: authorization happens before it is called.
//!
//! * `model` has identifiers, names, keys, schemas, retention and errors.
//! * `persist` has the keys of objects, store documents, and their cache.
//! * `listing` has lists and searches.
//! * `lifecycle` has expiry, relocation and deletion.
//!
//! Records, unique names and usage (counters and sizes) are built on these.
//!
//! # Creating a store
//!
//! 1. Schedule. A due item is written, with the store's owner and creation time.
//! 2. Create. The store document is created, under a random id that is never used again, and beside it the entry of the
//!    listing index that the document names. For a store without a name this is the commit point. A store with a name
//!    is still `Creating`, and the name is pending.
//! 3. Name, only if the store has one: claim and commit, by the protocol of `persist/name_claims.rs`.
//!
//! *Crash.* The due item leads the reconciler to an entry without a document, which it deletes. It also leads to a
//! document, whose last entry is written again. A store that is still `Creating` after an hour is deleted. So two
//! gateways, a crash between any two writes and a lost response leave one store of a name.
//!
//! # Invariants
//!
//! * A store document holds everything about a store except its records, and never moves. Every write of it is a
//!   compare-and-swap with a fresh nonce.
//! * No object of a store outlives the store. Its document, or a due item written before, leads to each of them.
//! * An operation on a record costs one object call. Lists of 1,000 keys cost one.
//! * A change is acknowledged only if the store has not been relocated or deleted meanwhile.
//!
//! The folder's own error is [`Error`], about a store or a record. `api` maps it to status codes.

mod catalog;
mod lifecycle;
mod listing;
mod model;
mod naming;
mod persist;
mod records;
mod store_update;
mod usage_counters;
mod usage_totals;

pub use catalog::{Catalog, CatalogOptions};
pub use lifecycle::{
    bucket_rules::{Canaries, LifecycleRules},
    deletion::AbandonedUploads,
    expiry_extension::ExtendExpiry,
    reconciler::Failures,
};
pub use listing::index::{StorePage, StoreQuery};
pub use model::{
    access::{GeneralAccess, Right, Shares},
    bounded_json::{json_cost, members, members_cost},
    encodings::{ContentCoding, RecordAttributes},
    errors::{Error, Result},
    ids::{ActorId, IdError, RunId, StoreId, TokenId, UserId},
    names::{InvalidKey, InvalidName, MAX_KEY_LENGTH, MAX_NAME_LENGTH, RecordKey, StoreName},
    retention::{DefaultRetention, LifecycleClass, Retention},
    schema::{CollectionKeys, InvalidSchema, Schema},
};
pub use naming::Created;
pub use persist::{
    cache::{CacheCounters, CacheOptions},
    clock_record::ClockRecords,
    format_version::{
        FORMAT, FormatError, JournalError, MigrationJournal, MigrationState, MigrationStep, PREFIXES, check_format,
        is_backend_specific, may_expire,
    },
    installation::{CheckError, Installation, InstallationLost, JoinError, SecretFingerprint},
    json::{
        JsonError, UnconditionalWrite, create_json, delete_json, list_names, put_unconditionally, read_json,
        replace_json,
    },
    object_keys::{CLOCK, FORMAT as FORMAT_OBJECT, is_record},
    repository::SafetyToggles,
    store_metadata::{Contents, Document, Location, Phase, Stats, StoreSnapshot},
};
pub use records::{KeyPage, KeyQuery, ListedKey, Records};
pub use store_update::{Creator, NewStore, Patch, StoreLocator, StoreUpdate};
pub use usage_counters::{ActivityCounts, StoreUsage};
pub use usage_totals::{Totals, Usage};

/// Parts that the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        model::{bounded_json::JsonValidator, names::SearchText},
        persist::name_claims::StoredClaim,
        records::KeyRange,
    };

    pub mod object_keys {
        pub use super::super::persist::object_keys::*;
    }
}
