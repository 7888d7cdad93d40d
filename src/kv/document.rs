//! The one document of a store: everything about it but its records.

use serde::{Deserialize, Serialize};

use crate::clock::{Random, Timestamp};

use super::{
    id::{StoreId, TokenId, UserId},
    name::StoreName,
    retention::{LifecycleClass, Retention},
    schema::Schema,
    sharing::Shares,
};

/// Format of the documents this version writes; one with a higher number is not touched.
pub const DOCUMENT_FORMAT: u32 = 1;

/// Everything about a store but its records; stands at `larder/stores/{id}` and never moves.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// [`DOCUMENT_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// The store's id.
    pub id: StoreId,
    /// One more with every write: which of two views of a store is the newer one.
    pub version: u64,
    /// Fresh with every write, so that equal documents never have equal validators, and so that whoever lost the
    /// answer to a write can read back whether it was his.
    pub nonce: String,
    /// Whose store it is.
    pub owner_id: UserId,
    /// Its name, if it has one: a named store is kept for ever.
    pub name: Option<StoreName>,
    /// The name it is about to have: written before the name is claimed, so that nobody takes the claim for stale.
    pub pending_name: Option<StoreName>,
    /// A title for people.
    pub title: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change of records or settings that has been written down; the true one may be up to a flush later.
    pub modified_at: Timestamp,
    /// Last use that has been written down.
    pub accessed_at: Timestamp,
    /// Who may read it without a right of his own.
    pub general_access: GeneralAccess,
    /// Who was given a right of his own.
    #[serde(default, skip_serializing_if = "Shares::is_empty")]
    pub shares: Shares,
    /// The token that made it, if one did that is limited to what it made: it may do everything with it.
    #[serde(rename = "creatorTokenId", default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<TokenId>,
    /// What its records must be like, if that was said.
    pub schema: Option<Schema>,
    /// The actor that made it.
    pub act_id: Option<String>,
    /// The actor run that made it.
    pub act_run_id: Option<String>,
    /// How long it lives after its last change while it has no name.
    #[serde(rename = "retentionMillis")]
    pub retention: Retention,
    /// When it expires; `None` while it has a name.
    pub expires_at: Option<Timestamp>,
    /// How often the secret that signs its links has been replaced.
    #[serde(rename = "signingKeyVersion")]
    pub secret_rotation: u32,
    /// Where its records are.
    #[serde(rename = "location")]
    pub place: Place,
    /// What is being done to it.
    pub phase: Phase,
    /// Places that it has left, until nobody can still be reading there.
    #[serde(rename = "staleLocations", default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Leftover>,
    /// Entries of the listing index that the store has, the last of which counts: the part of their keys behind the owner. They stand
    /// here before they are written, so that none is left behind.
    #[serde(rename = "indexEntries", default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
    /// Names that it had or was about to have, whose claims are still to be released.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_names: Vec<FormerName>,
    /// When the last reminder of the store is due: the object is removed with the store.
    #[serde(rename = "dueAt", default, skip_serializing_if = "Option::is_none")]
    pub reminder_at: Option<Timestamp>,
    /// Use of the store so far.
    pub stats: Stats,
    /// How much is in it, once that has been counted.
    #[serde(rename = "usage", default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
}

impl Document {
    /// Marks the document as changed: the next version, with a fresh nonce.
    pub fn touch(&mut self, random: &dyn Random) {
        self.format = DOCUMENT_FORMAT;
        self.version += 1;
        self.nonce = nonce(random);
    }

    /// Whether it is a store: it is made, and it is not deleted. It may yet have expired.
    pub fn is_there(&self) -> bool {
        match self.phase {
            Phase::Live | Phase::Copying(_) | Phase::Frozen(_) | Phase::Arriving(_) => true,
            Phase::Creating | Phase::Deleted { .. } => false,
        }
    }

    /// Whether it has expired. From then on it is as if it were not there; a named store never expires.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.name.is_none() && self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whether requests may see the store.
    pub fn is_visible(&self, now: Timestamp) -> bool {
        self.is_there() && !self.has_expired(now)
    }

    /// Whether records may be written and deleted now; else those who want to wait.
    pub fn takes_writes(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Copying(_))
    }

    /// The move that is under way.
    pub fn movement(&self) -> Option<&Move> {
        match &self.phase {
            Phase::Copying(movement) | Phase::Frozen(movement) | Phase::Arriving(movement) => Some(movement),
            Phase::Creating | Phase::Live | Phase::Deleted { .. } => None,
        }
    }

    /// Whether the store has `name`, or is about to.
    pub fn lays_claim_to(&self, name: &StoreName) -> bool {
        !matches!(self.phase, Phase::Deleted { .. })
            && (self.name.as_ref() == Some(name) || self.pending_name.as_ref() == Some(name))
    }
}

/// Sixteen random bytes in hexadecimal digits.
pub fn nonce(random: &dyn Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// Who may read a store without a right of his own (the platform's `generalAccess`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GeneralAccess {
    /// As the owner's account says.
    #[default]
    FollowUserSetting,
    /// Nobody.
    Restricted,
    /// Whoever knows the id.
    AnyoneWithIdCanRead,
    /// Whoever knows the id or the name.
    AnyoneWithNameCanRead,
}

impl GeneralAccess {
    /// The values of the API, in its order.
    pub const NAMES: [&str; 4] =
        ["FOLLOW_USER_SETTING", "RESTRICTED", "ANYONE_WITH_ID_CAN_READ", "ANYONE_WITH_NAME_CAN_READ"];

    /// Returns the value of the API.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Where the records of a store stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The lifecycle class, or `None` where records are kept for ever.
    #[serde(rename = "lifecycleDays")]
    pub class: Option<LifecycleClass>,
    /// Sets the records of one place apart from those of an earlier one of the same store.
    pub generation: String,
    /// When the generation was begun: no record in it is older.
    #[serde(rename = "createdAt")]
    pub born_at: Timestamp,
}

/// A place that a store has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// The place.
    #[serde(rename = "location")]
    pub place: Place,
    /// Since when nobody is sent there any more.
    pub since: Timestamp,
}

/// A name that a store does not have any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerName {
    /// The name.
    pub name: StoreName,
    /// Since when.
    pub since: Timestamp,
}

/// A move of a store's records from one place to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// Version of the document that began it: tells one attempt from any other.
    pub attempt: u64,
    /// Where the records were before.
    pub from: Place,
    /// Where they go.
    pub to: Place,
    /// Last sign of life of whoever carries it out.
    #[serde(rename = "heartbeatAt")]
    pub beat: Timestamp,
    /// Records copied so far, as far as it has been written down.
    #[serde(rename = "copiedRecords")]
    pub copied: u64,
}

/// What is being done to a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Phase {
    /// It is not a store yet: its name is still to be claimed.
    Creating,
    /// It serves.
    #[serde(rename = "active")]
    Live,
    /// It serves, and its records are being copied to another place.
    Copying(Move),
    /// It serves reads from the old place; writes wait while the last differences are copied.
    Frozen(Move),
    /// It serves reads from the new place; writes wait until everybody knows it.
    #[serde(rename = "cuttingOver")]
    Arriving(Move),
    /// It is gone for users; its records are being removed.
    Deleted {
        /// Since when.
        at: Timestamp,
        /// Uptime of the installation then, in milliseconds.
        uptime_millis: u64,
        /// Every place that may hold records of it.
        #[serde(rename = "locations")]
        places: Vec<Place>,
    },
}

/// Use of a store so far, as far as it has been written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Records read.
    pub read_count: u64,
    /// Records written.
    pub write_count: u64,
    /// Records deleted.
    pub delete_count: u64,
    /// Pages of keys listed.
    pub list_count: u64,
}

/// How much is in a store, as it was counted last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    /// Records.
    pub records: u64,
    /// Their bytes, as they are stored.
    pub bytes: u64,
    /// When the count began: what was written later may not be in it.
    pub counted_at: Timestamp,
    /// Since when every count has given these figures.
    #[serde(rename = "unchangedSince")]
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_access_is_written_as_the_api_names_it() {
        let all = [
            GeneralAccess::FollowUserSetting,
            GeneralAccess::Restricted,
            GeneralAccess::AnyoneWithIdCanRead,
            GeneralAccess::AnyoneWithNameCanRead,
        ];
        let written = all.map(|access| serde_json::to_value(access).expect("it serialises"));
        assert_eq!(written, GeneralAccess::NAMES.map(serde_json::Value::from));
    }
}
