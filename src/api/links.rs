//! Links in answers.

use std::sync::Arc;

use crate::kv::{RunId, StoreId};

/// Where links lead to: an origin, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOrigin {
    /// Always there.
    Fixed(String),
    /// There, unless a trusted proxy says what origin a client used.
    Assumed(String),
}

/// How links begin.
#[derive(Debug, Clone)]
pub struct Links {
    origin: Arc<str>,
    is_fixed: bool,
}

impl Links {
    /// Links that lead to `origin`.
    pub fn new(origin: LinkOrigin) -> Self {
        match origin {
            LinkOrigin::Fixed(origin) => Self { origin: origin.into(), is_fixed: true },
            LinkOrigin::Assumed(origin) => Self { origin: origin.into(), is_fixed: false },
        }
    }

    /// Links for a client that used the origin `told`, if a trusted proxy has told.
    #[must_use]
    pub fn for_client_at(&self, told: Option<&Arc<str>>) -> Self {
        let origin = told.filter(|_| !self.is_fixed).unwrap_or(&self.origin);
        Self { origin: Arc::clone(origin), is_fixed: self.is_fixed }
    }

    /// A store.
    pub fn store(&self, id: &StoreId) -> String {
        format!("{}/v2/key-value-stores/{id}", self.origin)
    }

    /// What links begin with.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A run.
    pub fn run(&self, id: &RunId) -> String {
        format!("{}/v2/actor-runs/{id}", self.origin)
    }

    /// A store's page for people.
    pub fn console(&self, id: &StoreId) -> String {
        format!("{}/console/key-value-stores/{id}", self.origin)
    }

    /// A store's keys.
    pub fn keys(&self, id: &StoreId, signature: Option<&str>) -> String {
        signed(format!("{}/keys", self.store(id)), signature)
    }

    /// All records of a store.
    pub fn records(&self, id: &StoreId) -> String {
        format!("{}/records", self.store(id))
    }

    /// A record.
    pub fn record(&self, id: &StoreId, key: &str, signature: Option<&str>) -> String {
        // Dots alone would be taken for steps in the path by whoever follows the link.
        let key = match key {
            "." => "%2E",
            ".." => "%2E%2E",
            key => key,
        };
        signed(format!("{}/{key}", self.records(id)), signature)
    }
}

/// Signatures are of characters that need no escape in a query.
fn signed(mut link: String, signature: Option<&str>) -> String {
    if let Some(signature) = signature {
        link.push_str("?signature=");
        link.push_str(signature);
    }
    link
}
