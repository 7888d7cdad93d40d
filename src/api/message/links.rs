//! Links in responses.

use std::sync::Arc;

use crate::kv::{RunId, StoreId};

/// Origin of links, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOrigin {
    /// Configured origin.
    Fixed(String),
    /// Default origin, unless a trusted proxy reports the one that the client used.
    Assumed(String),
}

/// Origin for links of one client.
#[derive(Debug, Clone)]
pub struct Links {
    origin: Arc<str>,
    is_fixed: bool,
}

impl Links {
    /// Returns links to `origin`.
    pub fn new(origin: LinkOrigin) -> Self {
        match origin {
            LinkOrigin::Fixed(origin) => Self { origin: origin.into(), is_fixed: true },
            LinkOrigin::Assumed(origin) => Self { origin: origin.into(), is_fixed: false },
        }
    }

    /// Returns links for a client that used the origin `reported`, if a trusted proxy has reported one.
    #[must_use]
    pub fn for_client_origin(&self, reported: Option<&Arc<str>>) -> Self {
        let origin = reported.filter(|_| !self.is_fixed).unwrap_or(&self.origin);
        Self { origin: Arc::clone(origin), is_fixed: self.is_fixed }
    }

    /// Returns the link to a store.
    pub fn store(&self, id: &StoreId) -> String {
        format!("{}/v2/key-value-stores/{id}", self.origin)
    }

    /// Returns the origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the link to a run.
    pub fn run(&self, id: &RunId) -> String {
        format!("{}/v2/actor-runs/{id}", self.origin)
    }

    /// Returns the link to a store's page in the console.
    pub fn console(&self, id: &StoreId) -> String {
        format!("{}/console/key-value-stores/{id}", self.origin)
    }

    /// Returns the link to a store's keys.
    pub fn keys(&self, id: &StoreId, signature: Option<&str>) -> String {
        signed(format!("{}/keys", self.store(id)), signature)
    }

    /// Returns the link to all records of a store.
    pub fn records(&self, id: &StoreId) -> String {
        format!("{}/records", self.store(id))
    }

    /// Returns the link to a record.
    pub fn record(&self, id: &StoreId, key: &str, signature: Option<&str>) -> String {
        // Clients that follow the link would resolve dot segments in the path.
        let key = match key {
            "." => "%2E",
            ".." => "%2E%2E",
            key => key,
        };
        signed(format!("{}/{key}", self.records(id)), signature)
    }
}

/// Appends a signature. Its characters need no escape in a query.
fn signed(mut link: String, signature: Option<&str>) -> String {
    if let Some(signature) = signature {
        link.push_str("?signature=");
        link.push_str(signature);
    }
    link
}
