//! The domain: stores, records, and all rules about them.
//!
//! [`Catalog`] holds the stores, [`Records`] their contents; both persist everything as objects (`layout`). This
//! module knows no HTTP, no caller and no vendor: authorization happens before it is called.

mod abandoned_uploads;
mod activity;
mod appointments;
mod cache;
mod canary;
mod catalog;
mod changes;
mod claims;
mod clock_records;
mod coding;
mod control;
mod copying;
mod counting;
mod document;
mod documents;
mod due_keys;
mod error;
mod failures;
mod format;
mod id;
mod index;
mod installation;
mod json_cost;
mod json_objects;
mod key;
mod key_range;
mod label;
mod layout;
mod life;
mod lifecycle;
mod listed;
mod listing;
mod migration;
mod mover;
mod name;
mod naming;
mod options;
mod record_attributes;
mod records;
mod removal;
mod renewals;
mod retention;
mod safeguards;
mod schema;
mod sharing;
mod totals;
mod upkeep;
mod usage;
mod view;

pub use abandoned_uploads::AbandonedUploads;
pub use activity::{ActivityCounts, StoreUse};
pub use cache::{CacheOptions, CacheUses};
pub use canary::Canaries;
pub use catalog::Catalog;
pub use changes::{Change, Maker, NewStore, StoreLocator, StoreUpdate};
pub use clock_records::ClockRecords;
pub use coding::ContentCoding;
pub use document::{Contents, Document, GeneralAccess, Phase, Place, Stats};
pub use error::{Error, Result};
pub use failures::Failures;
pub use format::{FORMAT, FormatError, look_at_format};
pub use id::{ActorId, IdError, RunId, StoreId, TokenId, UserId};
pub use installation::{CheckError, Installation, InstallationLost, JoinError, SecretFingerprint};
pub use json_cost::{json_cost, members, members_cost};
pub use json_objects::{JsonError, Note, create_json, names_below, read_json, remove_json, replace_json, write_note};
pub use key::{InvalidKey, MAX_KEY_LENGTH, RecordKey};
pub use key_range::{KeyPage, KeyQuery, ListedKey};
pub use layout::{CLOCK, FORMAT as FORMAT_OBJECT, is_record};
pub use lifecycle::LifecycleRules;
pub use listing::{StorePage, StoreQuery};
pub use migration::{
    JournalError, MigrationJournal, MigrationState, MigrationStep, PREFIXES, belongs_to_backend, may_expire,
};
pub use name::{InvalidName, MAX_NAME_LENGTH, StoreName};
pub use naming::Created;
pub use options::CatalogOptions;
pub use record_attributes::RecordAttributes;
pub use records::Records;
pub use renewals::Renew;
pub use retention::{DefaultRetention, LifecycleClass, Retention};
pub use safeguards::Safeguards;
pub use schema::{CollectionKeys, InvalidSchema, Schema};
pub use sharing::{Right, Shares};
pub use totals::Totals;
pub use usage::Usage;
pub use view::StoreView;

/// What the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{claims::StoredClaim, key_range::KeyRange, label::Label, schema::JsonValidator};

    pub mod due_keys {
        pub use super::super::due_keys::*;
    }
    pub mod layout {
        pub use super::super::layout::*;
    }
}
