//! Who else than its owner may do what with a store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::UserId;

/// The most users that one store is shared with: its document is read with every look-up.
pub const MAX_SHARES: usize = 1000;

/// What somebody may do with a store; each right includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// See it, its keys and its records.
    Read,
    /// Change records and settings, delete it, sign its links.
    Write,
    /// Say who else may do what.
    Manage,
}

impl Right {
    /// The names of the API, in the order of their power.
    pub const NAMES: [&str; 3] = ["read", "write", "manage"];

    /// Returns the name of the API.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// With whom a store is shared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shares(BTreeMap<UserId, Right>);

impl Shares {
    /// What that user was given.
    pub fn right_of(&self, user: &UserId) -> Option<Right> {
        self.0.get(user).copied()
    }

    /// Everybody who was given something.
    pub fn iter(&self) -> impl Iterator<Item = (&UserId, Right)> {
        self.0.iter().map(|(user, right)| (user, *right))
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Gives a user a right, or takes away the one he has.
    pub fn set(&mut self, user: UserId, right: Option<Right>) {
        match right {
            Some(right) => self.0.insert(user, right),
            None => self.0.remove(&user),
        };
    }
}
