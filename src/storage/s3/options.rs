//! What can be set about an object store.

use std::{path::PathBuf, sync::Arc};

use crate::network::Proxies;

use super::{
    super::budget::MemoryBudget,
    address::AddressStyle,
    wire::{Target, Timeouts},
};

/// Settings of the way to an object store.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// The server; AWS when `None`.
    pub endpoint: Option<Target>,
    /// What all keys begin with: nothing, or a path that ends in `/`.
    pub prefix: String,
    /// The region; where `None`, what the usual AWS sources say, else `us-east-1`.
    pub region: Option<String>,
    /// How the bucket is addressed; in the host at AWS and in the path elsewhere when `None`.
    pub style: Option<AddressStyle>,
    /// Authorities to trust beside those of the system, in PEM format.
    pub ca_file: Option<PathBuf>,
    /// The proxies on the way.
    pub proxies: Arc<Proxies>,
    /// Whether bodies are signed. They are gathered first then, and hashed.
    pub signs_payload: bool,
    /// Whether bodies are sent with `Content-MD5`. They are gathered first then, and hashed.
    pub sends_md5: bool,
    /// How objects are encrypted where they are kept.
    pub encryption: Option<Encryption>,
    /// The class of storage of all objects, in the vendor's words.
    pub storage_class: Option<String>,
    /// Limits of time.
    pub timeouts: Timeouts,
    /// Bodies longer than this many bytes are stored in parts; from 5 MiB to 5 GiB.
    pub part_bytes: u64,
    /// The memory that bodies are gathered in.
    pub memory: Arc<MemoryBudget>,
    /// Whether puts may be conditional, whatever a probe finds.
    pub conditional_writes: Option<bool>,
    /// Whether deletes may be conditional, whatever a probe finds.
    pub conditional_deletes: Option<bool>,
    /// Whether validators stand in quotes in conditions, whatever a probe finds.
    pub quoted_validators: Option<bool>,
}

/// Encryption at rest, done by the object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With the vendor's own keys (`AES256`).
    Aes256,
    /// With a key of a key management service (`aws:kms`), named or the bucket's own.
    Kms(Option<String>),
}

impl S3Options {
    /// The usual settings for a bucket.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            endpoint: None,
            prefix: String::new(),
            region: None,
            style: None,
            ca_file: None,
            proxies: Arc::default(),
            signs_payload: false,
            sends_md5: false,
            encryption: None,
            storage_class: None,
            timeouts: Timeouts::default(),
            part_bytes: 64 << 20,
            memory: Arc::default(),
            conditional_writes: None,
            conditional_deletes: None,
            quoted_validators: None,
        }
    }
}
