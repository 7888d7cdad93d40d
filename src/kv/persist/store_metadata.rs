//! The store document: everything about a store except its records.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Random, Timestamp},
    kv::model::{
        access::{GeneralAccess, Shares},
        ids::{StoreId, TokenId, UserId},
        names::StoreName,
        retention::{LifecycleClass, Retention},
        schema::Schema,
    },
    storage::ETag,
};

/// Document format of this version; documents with a higher number are left untouched.
pub const DOCUMENT_FORMAT: u32 = 1;

/// Everything about a store except its records, at `larder/stores/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// [`DOCUMENT_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// The store's id.
    pub id: StoreId,
    /// Incremented by every write, so the newer of two snapshots is known.
    pub version: u64,
    /// Fresh with every write: equal documents never share an ETag, and a writer whose response was lost can read
    /// back whether its write won.
    pub nonce: String,
    /// The owner.
    pub owner_id: UserId,
    /// Its name, if any: a named store is permanent.
    pub name: Option<StoreName>,
    /// The name being claimed. It is written before the claim, so no other gateway takes the claim for stale.
    pub pending_name: Option<StoreName>,
    /// A title for display.
    pub title: Option<String>,
    /// Creation time.
    pub created_at: Timestamp,
    /// Last recorded change of records or settings; the actual one may be later by up to one flush.
    pub modified_at: Timestamp,
    /// Last recorded use.
    pub accessed_at: Timestamp,
    /// Access for users without a right of their own.
    pub general_access: GeneralAccess,
    /// Rights granted to individual users.
    #[serde(default, skip_serializing_if = "Shares::is_empty")]
    pub shares: Shares,
    /// The token that created it, if that token is limited to what it creates: it has full access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator_token_id: Option<TokenId>,
    /// Schema of its records, if any.
    pub schema: Option<Schema>,
    /// The actor that created it.
    pub act_id: Option<String>,
    /// The actor run that created it.
    pub act_run_id: Option<String>,
    /// Retention after its last change while it has no name.
    #[serde(rename = "retentionMillis")]
    pub retention: Retention,
    /// Expiry; `None` while it has a name.
    pub expires_at: Option<Timestamp>,
    /// Number of times the secret that signs its links has been rotated.
    pub signing_key_version: u32,
    /// Current location of its records.
    pub location: Location,
    /// State of the store.
    pub phase: Phase,
    /// Earlier locations, kept until no gateway can still be reading there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale_locations: Vec<StaleLocation>,
    /// Its entries in the listing index, the last of which counts: the part of their keys after the owner. They are
    /// recorded here before they are written, so none is orphaned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub index_entries: Vec<String>,
    /// Earlier or attempted names whose claims are still to be released.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_names: Vec<FormerName>,
    /// Time of the last scheduled due item; the item is deleted with the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Usage of the store so far.
    pub stats: Stats,
    /// Size of its contents, once counted.
    #[serde(rename = "usage", default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
}

impl Document {
    /// Marks the document as changed: increments the version and sets a fresh nonce.
    pub fn touch(&mut self, random: &dyn Random) {
        self.format = DOCUMENT_FORMAT;
        self.version += 1;
        self.nonce = nonce(random);
    }

    /// Returns whether the store is created and not deleted. It may have expired.
    pub fn exists(&self) -> bool {
        match self.phase {
            Phase::Active | Phase::Copying(_) | Phase::Frozen(_) | Phase::CuttingOver(_) => true,
            Phase::Creating | Phase::Deleted { .. } => false,
        }
    }

    /// Returns whether the store has expired, and so is treated as absent. A named store never expires.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.name.is_none() && self.expires_at.is_some_and(|at| at <= now)
    }

    /// Returns whether requests may see the store.
    pub fn is_visible(&self, now: Timestamp) -> bool {
        self.exists() && !self.has_expired(now)
    }

    /// Returns whether records may be written and deleted now; otherwise writers wait.
    pub fn accepts_writes(&self) -> bool {
        matches!(self.phase, Phase::Active | Phase::Copying(_))
    }

    /// Returns the relocation in progress.
    pub fn relocation(&self) -> Option<&Relocation> {
        match &self.phase {
            Phase::Copying(relocation) | Phase::Frozen(relocation) | Phase::CuttingOver(relocation) => Some(relocation),
            Phase::Creating | Phase::Active | Phase::Deleted { .. } => None,
        }
    }

    /// Returns whether the store has `name`, or is claiming it.
    pub fn claims_name(&self, name: &StoreName) -> bool {
        !matches!(self.phase, Phase::Deleted { .. })
            && (self.name.as_ref() == Some(name) || self.pending_name.as_ref() == Some(name))
    }
}

/// Returns sixteen random bytes in hexadecimal.
pub fn nonce(random: &dyn Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// Location of a store's records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// The lifecycle class, or `None` for permanent records.
    #[serde(rename = "lifecycleDays")]
    pub class: Option<LifecycleClass>,
    /// Distinguishes this location from earlier ones of the same store.
    pub generation: String,
    /// Start of the generation: no record in it is older.
    pub created_at: Timestamp,
}

/// A location that a store has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaleLocation {
    /// The location.
    pub location: Location,
    /// Time since which requests are no longer directed there.
    pub since: Timestamp,
}

/// A name that a store no longer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerName {
    /// The name.
    pub name: StoreName,
    /// Time of the change.
    pub since: Timestamp,
}

/// A relocation of a store's records from one location to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relocation {
    /// Version of the document that began it; identifies the attempt.
    pub attempt: u64,
    /// The old location.
    pub from: Location,
    /// The new location.
    pub to: Location,
    /// Last heartbeat of the gateway that runs the relocation.
    pub heartbeat_at: Timestamp,
    /// Number of records copied, as last recorded.
    pub copied_records: u64,
}

/// State of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Phase {
    /// Not yet a store: its name is still to be claimed.
    Creating,
    /// Serves reads and writes.
    Active,
    /// Serves reads and writes while its records are copied to another location.
    Copying(Relocation),
    /// Serves reads from the old location; writes wait for the final copy pass.
    Frozen(Relocation),
    /// Serves reads from the new location; writes wait until every gateway knows it.
    CuttingOver(Relocation),
    /// Tombstone: gone for users, its records are being purged.
    Deleted {
        /// Time of the deletion.
        at: Timestamp,
        /// Uptime of the installation at that time, in milliseconds.
        uptime_millis: u64,
        /// All locations that may hold its records.
        locations: Vec<Location>,
    },
}

/// Usage of a store so far, as last recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Number of records read.
    pub read_count: u64,
    /// Number of records written.
    pub write_count: u64,
    /// Number of records deleted.
    pub delete_count: u64,
    /// Number of key pages listed.
    pub list_count: u64,
}

/// Size of a store by its last count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    /// Number of records.
    pub records: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Start of the count: later writes may not be included.
    pub counted_at: Timestamp,
    /// Time since which every count has given these figures.
    pub unchanged_since: Timestamp,
}

/// A store as of the last read of its document.
#[derive(Debug)]
pub struct StoreSnapshot {
    /// The document.
    pub document: Document,
    /// Its ETag, which the next write must match.
    pub etag: ETag,
    /// Time at which the read was sent, by the monotonic clock: a snapshot's age counts from then, since the response
    /// need not have been true any longer.
    pub read_at: Duration,
    /// Stored size of the document in bytes: its weight in a cache.
    pub weight: u32,
}
