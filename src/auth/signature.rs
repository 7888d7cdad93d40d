//! Signatures of links, exactly as `@apify/utilities` makes them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    clock::Timestamp,
    kv::{RecordKey, StoreId},
};

/// Digits of base 62, in the order of `@apify/utilities`.
const BASE62: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Version of the signatures of a store's content.
const CONTENT_VERSION: u8 = 0;

/// Bytes of the HMAC that count: 30 hexadecimal digits of it.
const MAC_BYTES: usize = 15;

/// The signature of a link to one record; it never expires.
pub fn record(signing_key: &str, key: &RecordKey) -> String {
    hmac62(signing_key, key.as_str())
}

/// The signature of a link to a store's keys; valid for ever, or until `expires_at`.
pub fn keys(signing_key: &str, id: &StoreId, expires_at: Option<Timestamp>) -> String {
    let expires_at = expires_at.map_or(0, Timestamp::as_millis);
    let mac = hmac62(signing_key, &format!("{CONTENT_VERSION}.{expires_at}.{id}"));
    URL_SAFE_NO_PAD.encode(format!("{CONTENT_VERSION}.{expires_at}.{mac}"))
}

/// The first 120 bits of the HMAC-SHA256 of `message`, in base 62 (`createHmacSignature` of `@apify/utilities`).
fn hmac62(secret: &str, message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(message.as_bytes());
    let mut number =
        mac.finalize().into_bytes()[..MAC_BYTES].iter().fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(BASE62[usize::try_from(number % 62).unwrap_or(0)]));
        number /= 62;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_signatures_are_those_of_apify_utilities() {
        for (secret, key, signature) in [
            ("secret-key-for-testing", "OUTPUT", "2ypikKx0WIAsy9q6RR3F"),
            ("secret-key-for-testing", "INPUT", "Qt3Pue1A5Z8etRlfZhZY"),
            ("secret-key-for-testing", "my.key-(1)!_'", "T26OJEUhlJdW14dt5NTn"),
            ("kv5G9mRtQ2xZ", "report.pdf", "9yWzROQugDrY90Pcf02V"),
            ("a", "0", "108o2XMUu1DzKA88xwwLU"),
            ("keyé", "some-key", "1oP1q9HjeYtbMgdRXPZMl"),
        ] {
            assert_eq!(record(secret, &key.parse().expect("a valid key")), signature);
        }
    }

    #[test]
    fn key_list_signatures_are_those_of_apify_utilities() {
        for (secret, id, expires_at, signature) in [
            ("secret-key-for-testing", "WkzbQMuFYuamGv3YF", None, "MC4wLjFtb04xdksxQ3ZwazJnYXhoUFpHVw"),
            ("kv5G9mRtQ2xZ", "eJNzqsbPiopwJcgGQ", None, "MC4wLjFrYndCekk3dkJhVFFYV3AyZm9ORQ"),
            (
                "secret-key-for-testing",
                "WkzbQMuFYuamGv3YF",
                Some(1_768_435_200_000),
                "MC4xNzY4NDM1MjAwMDAwLjhudnJnSUNNRXZVUGZsUjNVUm5T",
            ),
            (
                "kv5G9mRtQ2xZ",
                "eJNzqsbPiopwJcgGQ",
                Some(1_767_225_600_001),
                "MC4xNzY3MjI1NjAwMDAxLnh1WTlmZExGYTZmMUUyR2J1STJK",
            ),
        ] {
            let expires_at = expires_at.map(Timestamp::from_millis);
            assert_eq!(keys(secret, &id.parse().expect("a valid id"), expires_at), signature);
        }
    }
}
