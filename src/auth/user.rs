//! Users, the accounts that own stores, and their quotas; and the errors of operations on accounts and tokens.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    kv::{GeneralAccess, JsonError, Patch, UserId},
    storage,
};

/// Name of the initial account.
pub const ADMIN: &str = "admin";

/// Name of a user, unique without regard to letter case. No name has the form of an id.
/// (`USERNAME` in `@apify/consts` has the length and the characters.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

impl Username {
    /// Returns the name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name in the form used for look-ups.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl FromStr for Username {
    type Err = AccountsError;

    fn from_str(text: &str) -> Result<Self, AccountsError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let is_name = (3..=30).contains(&text.len()) && text.bytes().all(is_allowed);
        let has_letter = text.bytes().any(|byte| byte.is_ascii_alphanumeric());
        if is_name && has_letter && text.parse::<UserId>().is_err() {
            Ok(Self(text.to_owned()))
        } else {
            Err(AccountsError::InvalidUsername)
        }
    }
}

impl TryFrom<String> for Username {
    type Error = AccountsError;

    fn try_from(text: String) -> Result<Self, AccountsError> {
        text.parse()
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Public read access to those stores of an account that follow its setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccountAccess {
    /// Only users with a right of their own.
    #[default]
    Restricted,
    /// Anyone who knows the id.
    AnyoneWithIdCanRead,
}

impl AccountAccess {
    /// The values of the API.
    pub const NAMES: [&str; 2] = ["RESTRICTED", "ANYONE_WITH_ID_CAN_READ"];

    /// Returns the value in the API.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The account's permanent id.
    pub id: UserId,
    /// The account's name.
    pub username: Username,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Public access to its stores that have no setting of their own.
    pub general_access: AccountAccess,
    /// True if all its tokens are invalid.
    pub is_disabled: bool,
    /// True if links to others' stores that the user may have signed are still to be revoked, since the user was
    /// disabled.
    #[serde(rename = "linkRevocationPending", default, skip_serializing_if = "std::ops::Not::not")]
    pub has_links_to_end: bool,
    /// Limits that differ from the configured ones.
    #[serde(default, skip_serializing_if = "Quota::is_empty")]
    pub quota: Quota,
}

impl User {
    /// Returns whether this is the initial account, which administers all others.
    pub fn is_admin(&self) -> bool {
        self.username.as_str() == ADMIN
    }

    /// Returns whether the text is this account's id, or its name in any letter case.
    pub fn is_named(&self, id_or_username: &str) -> bool {
        self.id.as_str() == id_or_username || self.username.as_str().eq_ignore_ascii_case(id_or_username)
    }

    /// Returns the public access to a store of this account.
    pub fn access_to(&self, general_access: GeneralAccess) -> GeneralAccess {
        match (general_access, self.general_access) {
            (GeneralAccess::FollowUserSetting, AccountAccess::Restricted) => GeneralAccess::Restricted,
            (GeneralAccess::FollowUserSetting, AccountAccess::AnyoneWithIdCanRead) => {
                GeneralAccess::AnyoneWithIdCanRead
            }
            (
                own @ (GeneralAccess::Restricted
                | GeneralAccess::AnyoneWithIdCanRead
                | GeneralAccess::AnyoneWithNameCanRead),
                _,
            ) => own,
        }
    }
}

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
    pub stores: Patch<u64>,
    /// Change of [`Quota::records`].
    pub records: Patch<u64>,
    /// Change of [`Quota::bytes`].
    pub bytes: Patch<u64>,
    /// Change of [`Quota::store_records`].
    pub store_records: Patch<u64>,
    /// Change of [`Quota::store_bytes`].
    pub store_bytes: Patch<u64>,
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
        let change = |before: Option<u64>, change: &Patch<u64>| match change {
            Patch::Keep => before,
            Patch::Clear => None,
            Patch::Set(limit) => Some(*limit),
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

/// The result of an operation on accounts or tokens.
pub type Result<T, E = AccountsError> = std::result::Result<T, E>;

/// A failed operation on accounts or tokens. Nothing has changed unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The object store failed; a change may have happened.
    #[error("cannot read or write accounts and tokens")]
    Storage(#[from] storage::Error),
    /// The content of the object is invalid.
    #[error("the object {key} is damaged")]
    Damaged {
        /// The object's key.
        key: String,
        /// The cause.
        #[source]
        cause: storage::BoxError,
    },
    /// Too many concurrent changes of the same document.
    #[error("too many concurrent changes of the same account")]
    Contended,
    /// The text is no valid username.
    #[error("a username is 3 to 30 of a-z, 0-9, '_', '.' and '-', and does not look like an id")]
    InvalidUsername,
    /// Another user has the name.
    #[error("a user with this name already exists")]
    UsernameTaken,
    /// There is no such user.
    #[error("the user was not found")]
    UserNotFound,
    /// The given token belongs to another user: it is the admin's, or was created for another user.
    #[error("the token already belongs to another user")]
    TokenTaken,
    /// There is no such token.
    #[error("the token was not found")]
    TokenNotFound,
    /// The admin cannot be disabled: no other user could enable the account again.
    #[error("the admin cannot be disabled")]
    AdminStays,
}

impl From<JsonError> for AccountsError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Storage(error) => Self::Storage(error),
            JsonError::Damaged { key, cause } => Self::Damaged { key, cause },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_neither_an_id_nor_a_path() {
        for name in ["bob", "Alice-2", "a.b_c", "123456789012345678"] {
            assert!(name.parse::<Username>().is_ok(), "{name}");
        }
        for name in
            ["", "ab", "...", "a b", "a/b", "a~b", "ä-ö-ü", "12345678901234567", "abcdefghijklmnopq", &"a".repeat(31)]
        {
            assert!(name.parse::<Username>().is_err(), "{name}");
        }
    }
}
