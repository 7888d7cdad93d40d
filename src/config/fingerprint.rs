//! Fingerprint of a secret, to detect its change on a reload.

use std::fmt;

use sha2::{Digest, Sha256};

/// Hash of a value, to recognize the value without storing it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(value: &str) -> Self {
        Self(Sha256::digest(value).into())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}
