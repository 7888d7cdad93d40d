//! What operations work with.

use std::sync::Arc;

use crate::{
    auth::{Grant, Secrets, Users},
    clock::Clock,
    kv::{Catalog, GeneralAccess, Records},
};

use super::links::Links;

/// Options of the API.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Origin of the links in answers, without a slash at its end.
    pub public_url: String,
    /// The largest record, in stored bytes.
    pub max_record_bytes: u64,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self { public_url: "http://127.0.0.1:8011".to_owned(), max_record_bytes: 5 * 1024 * 1024 * 1024 }
    }
}

/// Everything that an operation may need.
#[derive(Debug)]
pub struct Context {
    /// The stores.
    pub catalog: Arc<Catalog>,
    /// Their records.
    pub records: Arc<Records>,
    /// The accounts.
    pub users: Arc<Users>,
    /// What signs links.
    pub secrets: Arc<Secrets>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How links begin.
    pub links: Links,
    /// The largest record, in stored bytes.
    pub max_record_bytes: u64,
}

impl Context {
    /// What signs the links to records of a granted store: nothing where anyone may read them anyway.
    pub fn record_signing_key(&self, grant: &Grant) -> Option<String> {
        match grant.store().document.general_access {
            GeneralAccess::AnyoneWithIdCanRead | GeneralAccess::AnyoneWithNameCanRead => None,
            // Accounts keep their stores to themselves.
            GeneralAccess::FollowUserSetting | GeneralAccess::Restricted => self.signing_key(grant),
        }
    }

    /// What signs the links of a granted store, if the caller may know.
    pub fn signing_key(&self, grant: &Grant) -> Option<String> {
        let document = &grant.store().document;
        grant.may_write().then(|| self.secrets.signing_key(&document.id, document.secret_rotation))
    }
}
