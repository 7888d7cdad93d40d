//! Invariants of signatures, tokens, scopes and users.

use larder::{
    auth::{Scope, StoreRule, StoredToken, Token, TokenHash, User, Username, is_upstream_id, signature},
    clock::Timestamp,
    kv::{RecordKey, StoreId},
};

use super::round_trip::{json, verbatim};

/// Arbitrary signing key.
const SIGNING_KEY: &str = "secret-key-for-testing";

/// Arbitrary moment.
const NOW: Timestamp = Timestamp::from_millis(1_768_435_200_000);

/// Checks that only issued signatures are accepted, and only for their purpose.
pub fn signature(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (id, other): (StoreId, StoreId) =
        ("WkzbQMuFYuamGv3YF".parse().expect("an id"), "eJNzqsbPiopwJcgGQ".parse().expect("an id"));
    let key: RecordKey = "OUTPUT".parse().expect("a key");
    let (later, before) = (Timestamp::from_millis(1_768_435_200_001), Timestamp::from_millis(1));
    let of_content = [None, Some(NOW), Some(later)].map(|end| signature::sign_keys(SIGNING_KEY, &id, end));
    let is_given = of_content.iter().any(|given| given == text.trim_end_matches('='));
    assert_eq!(signature::verify_content(text, SIGNING_KEY, &id, NOW), is_given, "{text}");
    assert!(!signature::verify_content(text, SIGNING_KEY, &other, NOW), "{text}");
    let of_record = signature::sign_record(SIGNING_KEY, &id, &key);
    assert_eq!(signature::verify_record(text, SIGNING_KEY, &id, &key), Some(text) == of_record.as_deref(), "{text}");
    let of_view = [later, before].map(|end| signature::sign_view(SIGNING_KEY, &id, &key, end));
    assert_eq!(signature::verify_view(text, SIGNING_KEY, &id, &key, NOW), text == of_view[0], "{text}");
    assert!(!signature::verify_view(text, SIGNING_KEY, &other, &key, NOW), "{text}");
}

/// Checks that only the written form of a token hash parses as one, that a token's form is that of generated tokens,
/// and that the document of a token round-trips.
pub fn token(bytes: &[u8]) {
    json::<StoredToken>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(hash) = TokenHash::try_from(text.to_owned()) {
        assert!(hash.to_string().eq_ignore_ascii_case(text), "{text}");
    }
    let token = Token::new(text);
    assert!(
        TokenHash::from_text(text).matches(&token.hash())
            && !TokenHash::from_text(&format!("{text}.")).matches(&token.hash())
    );
    if Token::is_well_formed(text) {
        // It is sent in a header, and in the address of a page.
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{text}");
    }
    assert_eq!(format!("{token:?}"), "Token([redacted])");
}

/// Checks that a scope round-trips, and that a sensible one permits nothing by an empty prefix.
pub fn scope(bytes: &[u8]) {
    json::<Scope>(bytes);
    let Ok(scope) = serde_json::from_slice::<Scope>(bytes) else { return };
    if scope.is_sensible() {
        let is_open =
            |rule: &StoreRule| matches!(rule, StoreRule::NamePrefix { name_prefix, .. } if name_prefix.is_empty());
        assert!(!scope.stores.iter().any(is_open));
        let ids = scope.datasets.iter().chain(&scope.request_queues);
        assert!(ids.into_iter().all(|id| is_upstream_id(id) && !id.contains(['/', '.', '%'])));
    }
}

/// Checks that an account round-trips, and that its name is the text that it was parsed from, and no path.
pub fn user(bytes: &[u8]) {
    json::<User>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    verbatim::<Username>(text);
    if let Ok(name) = text.parse::<Username>() {
        assert!(!matches!(text, "." | "..") && !text.contains(['/', '~', '%']), "{text}");
        assert!(name.folded().parse::<Username>().is_ok(), "{text}");
    }
}
