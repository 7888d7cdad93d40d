//! The key that signs the requests of one day: four hashes away from the secret, and therefore cached.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The name of the service in signatures.
pub const SERVICE: &str = "s3";

/// A key for one day, one region and our service.
#[derive(Clone)]
pub struct SigningKey {
    day: [u8; 8],
    region: String,
    key: Hmac<Sha256>,
}

impl SigningKey {
    /// Derives the key from a secret.
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>)
    pub fn derive(secret: &str, day: [u8; 8], region: &str) -> Self {
        let mut key = keyed(format!("AWS4{secret}").as_bytes());
        for part in [&day[..], region.as_bytes(), SERVICE.as_bytes(), b"aws4_request"] {
            key.update(part);
            key = keyed(&key.finalize().into_bytes());
        }
        Self { day, region: region.to_owned(), key }
    }

    /// Returns whether it is the key of this day and region.
    pub fn is_for(&self, day: [u8; 8], region: &str) -> bool {
        self.day == day && self.region == region
    }

    /// Signs the concatenated parts.
    pub fn sign(self, parts: &[&[u8]]) -> [u8; 32] {
        let mut key = self.key;
        for part in parts {
            key.update(part);
        }
        key.finalize().into_bytes().into()
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC accepts keys of any length.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}
