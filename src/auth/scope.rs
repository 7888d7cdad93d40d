//! Scopes of tokens.

use serde::{Deserialize, Serialize};

use crate::kv::{Document, Right, StoreId, StoreName, UserId};

/// Maximum number of store rules in a scope.
pub const MAX_STORE_RULES: usize = 500;

/// Maximum number of datasets, and of request queues, in a scope.
pub const MAX_UPSTREAM_IDS: usize = 100;

/// Maximum length of the id of a dataset or a request queue, on any upstream.
const MAX_UPSTREAM_ID_LENGTH: usize = 100;

/// Kind of resource that only the upstream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamKind {
    /// Datasets.
    Dataset,
    /// Request queues.
    RequestQueue,
}

impl UpstreamKind {
    /// Returns the path segment for the collection in the platform's API.
    pub fn collection(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::RequestQueue => "request-queues",
        }
    }
}

/// Subset of the user's rights that a token has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scope {
    /// List the account's stores.
    pub list: bool,
    /// Create stores. The token has every right on the stores that it created.
    pub create: bool,
    /// Rights on stores.
    pub stores: Vec<StoreRule>,
    /// Ids of the upstream's datasets that the token may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
    /// Ids of the upstream's request queues that the token may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_queues: Vec<String>,
}

/// Right on one store or on several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum StoreRule {
    /// On the store of that id, whatever its name.
    Id {
        /// Its id.
        id: StoreId,
        /// The right.
        right: Right,
    },
    /// On the store of that name of the token's user.
    Name {
        /// The name, in any letter case.
        name: StoreName,
        /// The right.
        right: Right,
    },
    /// On all stores of the token's user whose names have that prefix.
    NamePrefix {
        /// The prefix, in any letter case. A request for such a rule may not leave it empty.
        #[serde(rename = "namePrefix")]
        name_prefix: String,
        /// The right.
        right: Right,
    },
}

impl Scope {
    /// Returns the right on a store that the rules give a token of `user`.
    pub fn right_on(&self, document: &Document, user: &UserId) -> Option<Right> {
        self.stores.iter().filter_map(|rule| rule.right_on(document, user)).max()
    }

    /// Returns the right that the rules give by id alone.
    pub fn right_on_id(&self, store: &StoreId) -> Option<Right> {
        let right = |rule: &StoreRule| match rule {
            StoreRule::Id { id, right } => (id == store).then_some(*right),
            StoreRule::Name { .. } | StoreRule::NamePrefix { .. } => None,
        };
        self.stores.iter().filter_map(right).max()
    }

    /// Returns the scope of a run's token: write to the run's store, use its dataset and its request queue, and, if the
    /// scope `opens` other stores, write to stores that the token creates and to named stores of its user.
    pub fn of_run(store: StoreId, dataset: &str, request_queue: &str, opens: bool) -> Self {
        let own = StoreRule::Id { id: store, right: Right::Write };
        let named = StoreRule::NamePrefix { name_prefix: String::new(), right: Right::Write };
        let stores = [own].into_iter().chain(opens.then_some(named)).collect();
        let (datasets, request_queues) = (vec![dataset.to_owned()], vec![request_queue.to_owned()]);
        Self { list: opens, create: opens, stores, datasets, request_queues }
    }

    /// Returns whether the scope has the dataset or request queue of that id.
    pub fn names_upstream(&self, kind: UpstreamKind, id: &str) -> bool {
        let named = match kind {
            UpstreamKind::Dataset => &self.datasets,
            UpstreamKind::RequestQueue => &self.request_queues,
        };
        named.iter().any(|named| named == id)
    }

    /// Returns whether the scope is valid.
    pub fn is_sensible(&self) -> bool {
        let is_empty =
            |rule: &StoreRule| matches!(rule, StoreRule::NamePrefix { name_prefix, .. } if name_prefix.is_empty());
        let are_ids = |ids: &[String]| ids.len() <= MAX_UPSTREAM_IDS && ids.iter().all(|id| is_upstream_id(id));
        self.stores.len() <= MAX_STORE_RULES
            && !self.stores.iter().any(is_empty)
            && are_ids(&self.datasets)
            && are_ids(&self.request_queues)
    }
}

/// Returns whether a text can be an upstream's id of a dataset or a request queue.
pub fn is_upstream_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_UPSTREAM_ID_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
}

impl StoreRule {
    fn right_on(&self, document: &Document, user: &UserId) -> Option<Right> {
        // Names are per owner: another user's store of the same name is a different one.
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
