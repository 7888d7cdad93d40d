//! Links in answers.

use crate::kv::{RunId, StoreId};

/// How links begin.
#[derive(Debug, Clone)]
pub struct Links {
    origin: String,
}

impl Links {
    /// Links that begin with `origin`, which has no slash at its end.
    pub fn new(origin: String) -> Self {
        Self { origin }
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
