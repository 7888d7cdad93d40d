//! Settings of an object store.

use std::{path::PathBuf, sync::Arc};

use larder_runtime::network::Proxies;

use super::{
    super::budget::MemoryBudget,
    address::AddressStyle,
    wire::{Target, Timeouts},
};

/// Settings of an object store.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// The server; AWS when `None`.
    pub endpoint: Option<Target>,
    /// Prefix of all keys: empty, or a path that ends in `/`.
    pub prefix: String,
    /// The region; if `None`, from the usual AWS sources, else `us-east-1`.
    pub region: Option<String>,
    /// The addressing style; if `None`, in the host at AWS and in the path elsewhere.
    pub style: Option<AddressStyle>,
    /// Certificate authorities to trust besides those of the system, in PEM format.
    pub ca_file: Option<PathBuf>,
    /// The proxies to use.
    pub proxies: Arc<Proxies>,
    /// True if bodies are signed. Then they are buffered and hashed first.
    pub signs_payload: bool,
    /// True if bodies are sent with `Content-MD5`. Then they are buffered and hashed first.
    pub sends_md5: bool,
    /// Encryption at rest.
    pub encryption: Option<Encryption>,
    /// Storage class of all objects, by the vendor's name.
    pub storage_class: Option<String>,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Bodies longer than this many bytes use multipart uploads; from 5 MiB to 5 GiB.
    pub part_bytes: u64,
    /// The memory for buffered bodies.
    pub memory: Arc<MemoryBudget>,
    /// Override: whether puts may be conditional.
    pub conditional_writes: Option<bool>,
    /// Override: whether deletes may be conditional.
    pub conditional_deletes: Option<bool>,
    /// Override: whether validators in conditions are quoted.
    pub quoted_validators: Option<bool>,
}

/// Server-side encryption at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With the vendor's own keys (`AES256`).
    Aes256,
    /// With a key of a key management service (`aws:kms`): this one, or the bucket's own.
    Kms(Option<String>),
}

impl S3Options {
    /// Returns the default settings for a bucket.
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
