//! The domain: stores, records, and all rules about them.
//!
//! [`Catalog`] holds the stores, [`Records`] their contents; both persist everything as objects (`persist`). This
//! module knows no HTTP, no caller and no vendor: authorization happens before it is called.

mod catalog;
mod lifecycle;
mod listing;
mod model;
mod names;
mod persist;
mod records;
mod store_update;
mod usage;

pub use catalog::{Catalog, CatalogOptions};
pub use lifecycle::{
    abandoned_uploads::AbandonedUploads, bucket_rules::LifecycleRules, canary::Canaries,
    expiry_extension::ExtendExpiry, reconciler::Failures,
};
pub use listing::query::{StorePage, StoreQuery};
pub use model::{
    access::{GeneralAccess, Right, Shares},
    encodings::{ContentCoding, RecordAttributes},
    errors::{Error, Result},
    fault_switches::SafetyToggles,
    ids::{ActorId, IdError, RunId, StoreId, TokenId, UserId},
    json_cost::{json_cost, members, members_cost},
    keys::{InvalidKey, MAX_KEY_LENGTH, RecordKey},
    names::{InvalidName, MAX_NAME_LENGTH, StoreName},
    retention::{DefaultRetention, LifecycleClass, Retention},
    schema::{CollectionKeys, InvalidSchema, Schema},
};
pub use names::naming::Created;
pub use persist::{
    cache::{CacheCounters, CacheOptions},
    clock_record::ClockRecords,
    format_version::{FORMAT, FormatError, check_format},
    installation::{CheckError, Installation, InstallationLost, JoinError, SecretFingerprint},
    json::{
        JsonError, UnconditionalWrite, create_json, delete_json, list_names, put_unconditionally, read_json,
        replace_json,
    },
    migration::{
        JournalError, MigrationJournal, MigrationState, MigrationStep, PREFIXES, is_backend_specific, may_expire,
    },
    object_keys::{CLOCK, FORMAT as FORMAT_OBJECT, is_record},
    store_metadata::{Contents, Document, Location, Phase, Stats, StoreSnapshot},
};
pub use records::{
    key_range::{KeyPage, KeyQuery, ListedKey},
    service::Records,
};
pub use store_update::{Creator, NewStore, Patch, StoreLocator, StoreUpdate};
pub use usage::{
    counters::{ActivityCounts, StoreUsage},
    totals::{Totals, Usage},
};

/// Parts that the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        model::{json_validator::JsonValidator, search_text::SearchText},
        persist::name_claims::StoredClaim,
        records::key_range::KeyRange,
    };

    pub mod object_keys {
        pub use super::super::persist::object_keys::*;
    }
}
