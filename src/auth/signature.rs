//! Signatures of links, exactly as `@apify/utilities` makes them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{
    clock::Timestamp,
    kv::{RecordKey, StoreId},
};

/// Digits of base 62, in the order of `@apify/utilities`.
const BASE62: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Version of the signatures of a store's content.
const CONTENT_VERSION: u8 = 0;

/// Version of the signatures of links to look at a record.
const VIEW_VERSION: u8 = 1;

/// Number of bytes of the HMAC in a signature: 30 hexadecimal digits.
const MAC_BYTES: usize = 15;

/// Returns the signature of a link to one record of store `id`, which never expires; `None` for a reserved key, whose
/// signature would be that of the store's content.
pub fn sign_record(signing_key: &str, id: &StoreId, key: &RecordKey) -> Option<String> {
    (!key.is_reserved_in(id)).then(|| hmac62(signing_key, key.as_str()))
}

/// Returns the signature of a link to a store's keys, valid until `expires_at`, or for ever without it.
pub fn sign_keys(signing_key: &str, id: &StoreId, expires_at: Option<Timestamp>) -> String {
    URL_SAFE_NO_PAD.encode(sign_content(signing_key, id, expires_at))
}

/// Returns the content of such a signature: version, expiry and HMAC.
fn sign_content(signing_key: &str, id: &StoreId, expires_at: Option<Timestamp>) -> String {
    let expires_at = expires_at.map_or(0, Timestamp::as_millis);
    let mac = hmac62(signing_key, &format!("{CONTENT_VERSION}.{expires_at}.{id}"));
    format!("{CONTENT_VERSION}.{expires_at}.{mac}")
}

/// Returns the signature of a link to view one record until `expires_at` (an addition: the platform's links to records
/// never expire).
pub fn sign_view(signing_key: &str, id: &StoreId, key: &RecordKey, expires_at: Timestamp) -> String {
    let millis = expires_at.as_millis();
    // Lines: no key contains a line break, so no record's signature equals one of these, whatever its key.
    let mac = hmac62(signing_key, &format!("view\n{millis}\n{id}\n{key}"));
    URL_SAFE_NO_PAD.encode(format!("{VIEW_VERSION}.{millis}.{mac}"))
}

/// Returns whether `signature` is that of a link to view the record `key` of store `id` that is valid at `now`.
pub fn verify_view(signature: &str, signing_key: &str, id: &StoreId, key: &RecordKey, now: Timestamp) -> bool {
    let Ok(text) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    let Ok(text) = String::from_utf8(text) else { return false };
    let mut parts = text.splitn(3, '.').skip(1);
    let Some(expires_at) = parts.next().and_then(|millis| millis.parse().ok()) else { return false };
    let expires_at = Timestamp::from_millis(expires_at);
    now < expires_at && constant_time_eq(signature, &sign_view(signing_key, id, key, expires_at))
}

/// Returns whether `signature` is that of a link to the record `key` of store `id`.
pub fn verify_record(signature: &str, signing_key: &str, id: &StoreId, key: &RecordKey) -> bool {
    sign_record(signing_key, id, key).is_some_and(|right| constant_time_eq(signature, &right))
}

/// Returns whether `signature` is that of a link to the content of store `id` that is valid at `now`, with or without
/// padding.
pub fn verify_content(signature: &str, signing_key: &str, id: &StoreId, now: Timestamp) -> bool {
    let Ok(text) = URL_SAFE_NO_PAD.decode(signature.trim_end_matches('=')) else { return false };
    let Ok(text) = String::from_utf8(text) else { return false };
    let mut parts = text.split('.');
    let (Some(_), Some(expires_at), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Ok(expires_at) = expires_at.parse::<i64>() else { return false };
    if expires_at != 0 && now.as_millis() > expires_at {
        return false;
    }
    let expires_at = (expires_at != 0).then(|| Timestamp::from_millis(expires_at));
    constant_time_eq(&text, &sign_content(signing_key, id, expires_at))
}

/// Returns whether both are equal, in constant time.
fn constant_time_eq(given: &str, right: &str) -> bool {
    given.as_bytes().ct_eq(right.as_bytes()).into()
}

/// Returns the first 120 bits of the HMAC-SHA256 of `message`, in base 62 (`createHmacSignature` of
/// `@apify/utilities`).
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
        let id = "WkzbQMuFYuamGv3YF".parse().expect("an id");
        for (secret, key, signature) in [
            ("secret-key-for-testing", "OUTPUT", "2ypikKx0WIAsy9q6RR3F"),
            ("secret-key-for-testing", "INPUT", "Qt3Pue1A5Z8etRlfZhZY"),
            ("secret-key-for-testing", "my.key-(1)!_'", "T26OJEUhlJdW14dt5NTn"),
            ("kv5G9mRtQ2xZ", "report.pdf", "9yWzROQugDrY90Pcf02V"),
            ("a", "0", "108o2XMUu1DzKA88xwwLU"),
            ("keyé", "some-key", "1oP1q9HjeYtbMgdRXPZMl"),
        ] {
            assert_eq!(sign_record(secret, &id, &key.parse().expect("a valid key")).as_deref(), Some(signature));
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
            assert_eq!(sign_keys(secret, &id.parse().expect("a valid id"), expires_at), signature);
        }
    }

    #[test]
    fn a_signature_opens_what_it_was_made_for_until_its_time_is_over() {
        let (id, other): (StoreId, StoreId) =
            ("WkzbQMuFYuamGv3YF".parse().expect("an id"), "eJNzqsbPiopwJcgGQ".parse().expect("an id"));
        let (key, now) = ("OUTPUT".parse().expect("a key"), Timestamp::from_millis(1_767_225_600_000));
        let later = Timestamp::from_millis(1_767_225_600_001);
        let for_ever = sign_keys("secret", &id, None);
        assert!(
            verify_content(&for_ever, "secret", &id, later)
                && verify_content(&format!("{for_ever}=="), "secret", &id, now)
        );
        let for_now = sign_keys("secret", &id, Some(now));
        assert!(verify_content(&for_now, "secret", &id, now) && !verify_content(&for_now, "secret", &id, later));
        assert!(!verify_content(&for_ever, "secret", &other, now) && !verify_content(&for_ever, "Secret", &id, now));
        let of_record = sign_record("secret", &id, &key).expect("it is not reserved");
        assert!(
            verify_record(&of_record, "secret", &id, &key)
                && !verify_record(&of_record, "secret", &id, &"INPUT".parse().expect("a key"))
        );
        assert!(!verify_content(&of_record, "secret", &id, now) && !verify_record(&for_ever, "secret", &id, &key));
        for wrong in ["", "=", "garbage", "MS4wLng", "MC4wLng", "MC4wLg", "MC4tMS54", "MC4wMC4x"] {
            assert!(!verify_content(wrong, "secret", &id, now), "{wrong}");
        }
        // Each bit of it counts.
        for at in 0..for_ever.len() {
            let mut bytes = for_ever.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(!verify_content(&String::from_utf8_lossy(&bytes), "secret", &id, now), "{at}");
        }
    }

    #[test]
    fn what_signs_a_stores_content_signs_none_of_its_records() {
        let id: StoreId = "WkzbQMuFYuamGv3YF".parse().expect("an id");
        for end in [None, Some(i64::MIN), Some(-1), Some(1), Some(1_768_435_200_000), Some(i64::MAX)] {
            let end = end.map(Timestamp::from_millis);
            let key: RecordKey = format!("0.{}.{id}", end.map_or(0, Timestamp::as_millis)).parse().expect("a key");
            let of_content = sign_content("secret", &id, end);
            let mac = of_content.rsplit('.').next().unwrap_or_default();
            assert_eq!(mac, hmac62("secret", key.as_str()), "it is what is signed");
            assert_eq!(sign_record("secret", &id, &key), None);
            assert!(!verify_record(mac, "secret", &id, &key));
        }
    }

    #[test]
    fn a_link_to_look_at_a_record_opens_that_record_until_its_time_is_over() {
        let (id, other): (StoreId, StoreId) =
            ("WkzbQMuFYuamGv3YF".parse().expect("an id"), "eJNzqsbPiopwJcgGQ".parse().expect("an id"));
        let (key, another): (RecordKey, RecordKey) = ("a.b".parse().expect("a key"), "a".parse().expect("a key"));
        let (now, end) = (Timestamp::from_millis(1_767_225_600_000), Timestamp::from_millis(1_767_225_600_001));
        let link = sign_view("secret", &id, &key, end);
        assert!(verify_view(&link, "secret", &id, &key, now));
        assert!(!verify_view(&link, "secret", &id, &key, end), "its time is over");
        assert!(!verify_view(&link, "secret", &id, &another, now) && !verify_view(&link, "secret", &other, &key, now));
        assert!(!verify_view(&link, "Secret", &id, &key, now));
        assert!(!verify_content(&link, "secret", &id, now) && !verify_record(&link, "secret", &id, &key));
        assert!(!verify_view(&sign_keys("secret", &id, Some(end)), "secret", &id, &key, now));
        let of_record = sign_record("secret", &id, &key).expect("it is not reserved");
        assert!(!verify_view(&of_record, "secret", &id, &key, now));
        for at in 0..link.len() {
            let mut bytes = link.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(!verify_view(&String::from_utf8_lossy(&bytes), "secret", &id, &key, now), "{at}");
        }
    }
}
