//! Secrets: one master secret, from which every store's signing key is derived.

use std::fmt;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    clock::Random,
    kv::{SecretFingerprint, StoreId},
    storage::{self, Attributes, ByteStream, GetOptions, ObjectStore, Precondition, PutOptions},
};

/// Key of the object with the generated master secret.
pub const MASTER_KEY: &str = "larder/auth/master-secret";

/// Number of bytes of a master secret.
const MASTER_LENGTH: usize = 32;

/// Number of characters of a store's signing key: 32 hexadecimal digits are 128 bits.
const SIGNING_KEY_LENGTH: usize = 32;

/// Number of characters of a fingerprint: 8 hexadecimal digits tell secrets apart, and are quickly typed.
const FINGERPRINT_LENGTH: usize = 8;

/// Secret from which all others are derived.
#[derive(Clone)]
pub struct MasterSecret(Vec<u8>);

impl MasterSecret {
    /// Returns the configured secret.
    pub fn new(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret([redacted])")
    }
}

/// Error of reading or creating the master secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The object store failed.
    #[error("cannot read or write the master secret")]
    Storage(#[from] storage::Error),
    /// The object is no master secret.
    #[error("the master secret is damaged")]
    Damaged,
}

/// Deriver of secrets.
#[derive(Debug, Clone)]
pub struct Secrets {
    master: MasterSecret,
}

impl Secrets {
    /// Returns secrets derived from `master`.
    pub fn new(master: MasterSecret) -> Self {
        Self { master }
    }

    /// Returns secrets derived from the master secret in the object store. Creates that secret if there is none; of
    /// several gateways that start at once, exactly one creates it.
    pub async fn open(objects: &dyn ObjectStore, random: &dyn Random) -> Result<Self, SecretsError> {
        if let Some(master) = read(objects).await? {
            return Ok(Self::new(master));
        }
        let mut fresh = vec![0; MASTER_LENGTH];
        random.fill(&mut fresh);
        let attributes = Attributes { content_type: "application/octet-stream".to_owned(), content_encoding: None };
        let options = PutOptions { attributes, precondition: Precondition::IfAbsent };
        match objects.put(MASTER_KEY, ByteStream::from(Bytes::from(fresh.clone())), options).await {
            Ok(_) => Ok(Self::new(MasterSecret(fresh))),
            Err(storage::Error::Precondition) => read(objects).await?.map(Self::new).ok_or(SecretsError::Damaged),
            Err(error) => Err(error.into()),
        }
    }

    fn digest(&self, message: &str) -> impl Iterator<Item = u8> {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.master.0).expect("HMAC takes keys of any length");
        mac.update(message.as_bytes());
        mac.finalize().into_bytes().into_iter()
    }

    /// Returns the key that signs the links of a store (`urlSigningSecretKey`). It is indistinguishable from random
    /// without the master secret, and different for each store and each rotation.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn signing_key(&self, id: &StoreId, rotation: u32) -> String {
        let message = format!("larder url signing {id} {rotation}");
        hex(self.digest(&message).take(SIGNING_KEY_LENGTH / 2))
    }
}

impl SecretFingerprint for Secrets {
    /// Returns an HMAC of the installation's id under its own label; nothing else is derived from it. It helps to find
    /// the secret only by guessing, which any signed link allows, too. Installations with the same secret do not show
    /// that.
    fn fingerprint(&self, installation: &str) -> String {
        hex(self.digest(&format!("larder secret fingerprint {installation}")).take(FINGERPRINT_LENGTH / 2))
    }
}

fn hex(bytes: impl Iterator<Item = u8>) -> String {
    bytes
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'))
        .collect()
}

async fn read(objects: &dyn ObjectStore) -> Result<Option<MasterSecret>, SecretsError> {
    match objects.get(MASTER_KEY, GetOptions::default()).await {
        Ok(object) => {
            let bytes = object.body.into_bytes(MASTER_LENGTH as u64).await.map_err(|_| SecretsError::Damaged)?;
            if bytes.len() == MASTER_LENGTH {
                Ok(Some(MasterSecret(bytes.to_vec())))
            } else {
                Err(SecretsError::Damaged)
            }
        }
        Err(storage::Error::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRandom;

    #[test]
    fn a_fingerprint_tells_secrets_and_installations_apart_and_is_no_signing_key() {
        let of = |secret: &str, installation: &str| Secrets::new(MasterSecret::new(secret)).fingerprint(installation);
        assert_eq!(of("master", "one"), of("master", "one"));
        assert_eq!(of("master", "one").len(), FINGERPRINT_LENGTH);
        assert_ne!(of("master", "one"), of("another", "one"));
        assert_ne!(of("master", "one"), of("master", "two"));
    }

    #[test]
    fn every_store_and_every_rotation_has_a_key_of_its_own() {
        let secrets = Secrets::new(MasterSecret::new("master"));
        let random = SeededRandom::new(3);
        let (one, other) = (StoreId::generate(&random), StoreId::generate(&random));
        let key = secrets.signing_key(&one, 0);
        assert_eq!(key.len(), SIGNING_KEY_LENGTH);
        assert_eq!(secrets.signing_key(&one, 0), key);
        assert_ne!(secrets.signing_key(&one, 1), key);
        assert_ne!(secrets.signing_key(&other, 0), key);
        assert!(!format!("{secrets:?}").contains("master\""));
    }
}
