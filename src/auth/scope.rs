//! What a token is limited to.

use serde::{Deserialize, Serialize};

use crate::kv::{Document, Right, StoreId, StoreName, UserId};

/// The most stores that one token names.
pub const MAX_STORE_RULES: usize = 500;

/// What a token may do of all that its user may.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scope {
    /// List the account's stores.
    pub list: bool,
    /// Make stores; it may do everything with those that it made.
    pub create: bool,
    /// What it may do with stores.
    pub stores: Vec<StoreRule>,
}

/// A right on a store, or on several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum StoreRule {
    /// On one store, whatever its name is.
    Id {
        /// Its id.
        id: StoreId,
        /// The right.
        right: Right,
    },
    /// On the store of the token's user that has a name.
    Name {
        /// The name, in any letter case.
        name: StoreName,
        /// The right.
        right: Right,
    },
    /// On all stores of the token's user whose names begin so.
    NamePrefix {
        /// How they begin, in any letter case; whoever asks for such a rule may not leave it empty.
        #[serde(rename = "namePrefix")]
        name_prefix: String,
        /// The right.
        right: Right,
    },
}

impl Scope {
    /// What a token of `user`'s may do with a store by its rules.
    pub fn right_on(&self, document: &Document, user: &UserId) -> Option<Right> {
        self.stores.iter().filter_map(|rule| rule.right_on(document, user)).max()
    }

    /// What a token may do by its rules with a store of that id, whatever its name is.
    pub fn right_on_id(&self, store: &StoreId) -> Option<Right> {
        let right = |rule: &StoreRule| match rule {
            StoreRule::Id { id, right } => (id == store).then_some(*right),
            StoreRule::Name { .. } | StoreRule::NamePrefix { .. } => None,
        };
        self.stores.iter().filter_map(right).max()
    }

    /// What the token of a run may do: write to the run's store, and, if it `opens` others, to those that it makes and those
    /// of its user that have a name.
    pub fn of_run(store: StoreId, opens: bool) -> Self {
        let own = StoreRule::Id { id: store, right: Right::Write };
        let named = StoreRule::NamePrefix { name_prefix: String::new(), right: Right::Write };
        Self { list: opens, create: opens, stores: [own].into_iter().chain(opens.then_some(named)).collect() }
    }

    /// Whether it says something that can be meant.
    pub fn is_sensible(&self) -> bool {
        let is_empty =
            |rule: &StoreRule| matches!(rule, StoreRule::NamePrefix { name_prefix, .. } if name_prefix.is_empty());
        self.stores.len() <= MAX_STORE_RULES && !self.stores.iter().any(is_empty)
    }
}

impl StoreRule {
    fn right_on(&self, document: &Document, user: &UserId) -> Option<Right> {
        // Names are the owner's: somebody else's store of the same name is another one.
        let own_name = document.name.as_ref().filter(|_| document.owner_id == *user);
        match self {
            Self::Id { id, right } => (document.id == *id).then_some(*right),
            Self::Name { name, right } => (own_name == Some(name)).then_some(*right),
            Self::NamePrefix { name_prefix, right } => {
                let begins = |name: &StoreName| {
                    let start = name.as_str().as_bytes().get(..name_prefix.len());
                    start.is_some_and(|start| start.eq_ignore_ascii_case(name_prefix.as_bytes()))
                };
                own_name.is_some_and(begins).then_some(*right)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_one_thing_and_a_right() {
        let parsed = |text: &str| serde_json::from_str::<Scope>(text);
        let scope = parsed(
            r#"{"create":true,"stores":[{"id":"WkzbQMuFYuamGv3YF","right":"read"},{"name":"shop","right":"write"},
               {"namePrefix":"crawl-","right":"manage"}]}"#,
        );
        let scope = scope.expect("it is a scope");
        assert!(scope.create && !scope.list && scope.stores.len() == 3 && scope.is_sensible());
        for text in [
            r#"{"everything":true}"#,
            r#"{"stores":[{"right":"read"}]}"#,
            r#"{"stores":[{"id":"WkzbQMuFYuamGv3YF","name":"shop","right":"read"}]}"#,
            r#"{"stores":[{"id":"x","right":"read"}]}"#,
            r#"{"stores":[{"name":"shop","right":"all"}]}"#,
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(!parsed(r#"{"stores":[{"namePrefix":"","right":"read"}]}"#).expect("it parses").is_sensible());
    }
}
