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

/// Where the master secret stands when none was given.
pub const MASTER_KEY: &str = "larder/auth/master-secret";

/// Bytes of a master secret.
const MASTER_LENGTH: usize = 32;

/// Characters of a store's signing key: 32 hexadecimal digits are 128 bits.
const SIGNING_KEY_LENGTH: usize = 32;

/// Characters of a fingerprint: 8 hexadecimal digits tell secrets apart, and are quickly typed.
const FINGERPRINT_LENGTH: usize = 8;

/// The secret from which all others come.
#[derive(Clone)]
pub struct MasterSecret(Vec<u8>);

impl MasterSecret {
    /// A secret that was given from outside.
    pub fn new(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret([redacted])")
    }
}

/// The master secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The object store failed.
    #[error("the master secret could not be read or written")]
    Storage(#[from] storage::Error),
    /// What stands there is no master secret.
    #[error("the master secret is damaged")]
    Damaged,
}

/// Derives secrets.
#[derive(Debug, Clone)]
pub struct Secrets {
    master: MasterSecret,
}

impl Secrets {
    /// Secrets that come from `master`.
    pub fn new(master: MasterSecret) -> Self {
        Self { master }
    }

    /// Secrets that come from the master secret in the object store, which is made there if there is none. Of several
    /// gateways that start at once, one makes it.
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

    /// What signs the links of a store (`urlSigningSecretKey`): random to whoever does not know the master secret,
    /// its own for each store and each rotation.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn signing_key(&self, id: &StoreId, rotation: u32) -> String {
        let message = format!("larder url signing {id} {rotation}");
        hex(self.digest(&message).take(SIGNING_KEY_LENGTH / 2))
    }
}

impl SecretFingerprint for Secrets {
    /// An HMAC under a label of its own, of the id of the installation: nothing else is derived from it, and it is no help
    /// to find the secret but by guessing, which any signed link allows, too. Installations with one secret do not show it.
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
