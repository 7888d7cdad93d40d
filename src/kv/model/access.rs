//! Access to a store for users other than its owner: general access, and rights of single users.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::UserId;

/// General access to a store, for users without a right of their own (the platform's `generalAccess`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GeneralAccess {
    /// As set for the owner's account.
    #[default]
    FollowUserSetting,
    /// No access without a right.
    Restricted,
    /// Read access with the id.
    AnyoneWithIdCanRead,
    /// Read access with the id or the name.
    AnyoneWithNameCanRead,
}

impl GeneralAccess {
    /// Values in the API, in its order.
    pub const NAMES: [&str; 4] =
        ["FOLLOW_USER_SETTING", "RESTRICTED", "ANYONE_WITH_ID_CAN_READ", "ANYONE_WITH_NAME_CAN_READ"];

    /// Returns the value in the API.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Maximum number of users that a store is shared with: its document is read with every lookup.
pub const MAX_SHARES: usize = 1000;

/// A right on a store; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Read the store, its keys and its records.
    Read,
    /// Change records and settings, delete it, sign its links.
    Write,
    /// Manage the rights of other users.
    Manage,
}

impl Right {
    /// Names in the API, in ascending order.
    pub const NAMES: [&str; 3] = ["read", "write", "manage"];

    /// Returns the name in the API.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Rights on a store by user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shares(BTreeMap<UserId, Right>);

impl Shares {
    /// Returns the right of a user.
    pub fn right_of(&self, user: &UserId) -> Option<Right> {
        self.0.get(user).copied()
    }

    /// Iterates over all users with a right.
    pub fn iter(&self) -> impl Iterator<Item = (&UserId, Right)> {
        self.0.iter().map(|(user, right)| (user, *right))
    }

    /// Returns whether no user has a right.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of users with a right.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Grants a right to a user, or revokes it.
    pub fn set(&mut self, user: UserId, right: Option<Right>) {
        match right {
            Some(right) => self.0.insert(user, right),
            None => self.0.remove(&user),
        };
    }
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
