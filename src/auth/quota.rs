//! Quotas of accounts.

use serde::{Deserialize, Serialize};

use crate::kv::Change;

/// Limits of an account; a missing limit means unlimited. In an account's own quota, a missing limit means the
/// configured one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Number of stores, with and without names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stores: Option<u64>,
    /// Records in all its stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Stored bytes in all its stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Records in any one of its stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_records: Option<u64>,
    /// Stored bytes in any one of its stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_bytes: Option<u64>,
}

/// Changes to a quota.
#[derive(Debug, Clone, Default)]
pub struct QuotaUpdate {
    /// Change of [`Quota::stores`].
    pub stores: Change<u64>,
    /// Change of [`Quota::records`].
    pub records: Change<u64>,
    /// Change of [`Quota::bytes`].
    pub bytes: Change<u64>,
    /// Change of [`Quota::store_records`].
    pub store_records: Change<u64>,
    /// Change of [`Quota::store_bytes`].
    pub store_bytes: Change<u64>,
}

impl Quota {
    /// Returns whether all limits are missing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns this quota, with missing limits filled in from `otherwise`.
    #[must_use]
    pub fn or(self, otherwise: Self) -> Self {
        Self {
            stores: self.stores.or(otherwise.stores),
            records: self.records.or(otherwise.records),
            bytes: self.bytes.or(otherwise.bytes),
            store_records: self.store_records.or(otherwise.store_records),
            store_bytes: self.store_bytes.or(otherwise.store_bytes),
        }
    }

    /// Returns this quota with the changes of `update`.
    #[must_use]
    pub fn changed(self, update: &QuotaUpdate) -> Self {
        let change = |before: Option<u64>, change: &Change<u64>| match change {
            Change::Keep => before,
            Change::Clear => None,
            Change::Set(limit) => Some(*limit),
        };
        Self {
            stores: change(self.stores, &update.stores),
            records: change(self.records, &update.records),
            bytes: change(self.bytes, &update.bytes),
            store_records: change(self.store_records, &update.store_records),
            store_bytes: change(self.store_bytes, &update.store_bytes),
        }
    }
}
