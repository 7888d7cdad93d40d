//! What a secret is known again by when the configuration is read anew.

use std::fmt;

use sha2::{Digest, Sha256};

/// The text of a value, by which it is known again without being kept.
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
