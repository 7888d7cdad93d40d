//! What a token is limited to.

use serde::{Deserialize, Serialize};

use crate::kv::{Document, Right, StoreId, StoreName, UserId};

/// The most stores that one token names.
pub const MAX_STORE_RULES: usize = 500;

/// The most datasets, and the most request queues, that one token names.
pub const MAX_UPSTREAM_IDS: usize = 100;

/// The longest id of a dataset or a request queue, whatever server made it.
const MAX_UPSTREAM_ID_LENGTH: usize = 100;

/// What an upstream has, and Larder has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamKind {
    /// Datasets.
    Dataset,
    /// Request queues.
    RequestQueue,
}

impl UpstreamKind {
    /// What paths of the platform's API call all of them.
    pub fn collection(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::RequestQueue => "request-queues",
        }
    }
}

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
    /// The upstream's datasets that it may use, by their ids there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
    /// The upstream's request queues that it may use, by their ids there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_queues: Vec<String>,
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

    /// What the token of a run may do: write to the run's store, use its dataset and its request queue, and, if it `opens`
    /// others, write to the stores that it makes and those of its user that have a name.
    pub fn of_run(store: StoreId, dataset: &str, request_queue: &str, opens: bool) -> Self {
        let own = StoreRule::Id { id: store, right: Right::Write };
        let named = StoreRule::NamePrefix { name_prefix: String::new(), right: Right::Write };
        let stores = [own].into_iter().chain(opens.then_some(named)).collect();
        let (datasets, request_queues) = (vec![dataset.to_owned()], vec![request_queue.to_owned()]);
        Self { list: opens, create: opens, stores, datasets, request_queues }
    }

    /// Whether it names the dataset or request queue of that id.
    pub fn names_upstream(&self, kind: UpstreamKind, id: &str) -> bool {
        let named = match kind {
            UpstreamKind::Dataset => &self.datasets,
            UpstreamKind::RequestQueue => &self.request_queues,
        };
        named.iter().any(|named| named == id)
    }

    /// Whether it says something that can be meant.
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

/// Whether a text can be what an upstream calls a dataset or a request queue.
pub fn is_upstream_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_UPSTREAM_ID_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
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
