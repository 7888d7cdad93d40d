//! What holds of signatures, tokens and accounts, whatever bytes come: run over chosen bytes by the fuzz targets, and by the
//! tests of the room `fuzzing`. Nothing here is part of the program.
#![expect(clippy::missing_panics_doc, reason = "to panic is how a property is said not to hold")]

use crate::{
    clock::Timestamp,
    kv::{RecordKey, StoreId, properties::json, properties::verbatim},
};

use super::{
    scope::{Scope, StoreRule, is_upstream_id},
    signature,
    token::{KeptToken, Token, TokenHash},
    user::{User, Username},
};

/// A signing key that stands for any.
const SIGNING_KEY: &str = "secret-key-for-testing";

/// A moment that stands for any.
const NOW: Timestamp = Timestamp::from_millis(1_768_435_200_000);

/// A text is taken for a signature only if it is one that was given out, and for what it was given out.
pub fn signature(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (id, other): (StoreId, StoreId) =
        ("WkzbQMuFYuamGv3YF".parse().expect("an id"), "eJNzqsbPiopwJcgGQ".parse().expect("an id"));
    let key: RecordKey = "OUTPUT".parse().expect("a key");
    let (later, before) = (Timestamp::from_millis(1_768_435_200_001), Timestamp::from_millis(1));
    let of_content = [None, Some(NOW), Some(later)].map(|end| signature::keys(SIGNING_KEY, &id, end));
    let is_given = of_content.iter().any(|given| given == text.trim_end_matches('='));
    assert_eq!(signature::is_of_content(text, SIGNING_KEY, &id, NOW), is_given, "{text}");
    assert!(!signature::is_of_content(text, SIGNING_KEY, &other, NOW), "{text}");
    let of_record = signature::record(SIGNING_KEY, &id, &key);
    assert_eq!(signature::is_of_record(text, SIGNING_KEY, &id, &key), Some(text) == of_record.as_deref(), "{text}");
    let of_view = [later, before].map(|end| signature::view(SIGNING_KEY, &id, &key, end));
    assert_eq!(signature::is_of_view(text, SIGNING_KEY, &id, &key, NOW), text == of_view[0], "{text}");
    assert!(!signature::is_of_view(text, SIGNING_KEY, &other, &key, NOW), "{text}");
}

/// A text is taken for the hash of a token only if it is written as one; a token's form is that of those made here; the
/// document of a token reads back.
pub fn token(bytes: &[u8]) {
    json::<KeptToken>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(hash) = TokenHash::try_from(text.to_owned()) {
        assert!(hash.to_string().eq_ignore_ascii_case(text), "{text}");
    }
    let token = Token::new(text);
    assert!(TokenHash::of(text).is(&token.hash()) && !TokenHash::of(&format!("{text}.")).is(&token.hash()));
    if Token::is_of_form(text) {
        // It goes into a header, and into the address of a page.
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{text}");
    }
    assert_eq!(format!("{token:?}"), "Token([redacted])");
}

/// A scope reads back, and one that makes sense opens nothing by an empty prefix.
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

/// An account reads back, and its name is the text that it was read from, and no path.
pub fn user(bytes: &[u8]) {
    json::<User>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    verbatim::<Username>(text);
    if let Ok(name) = text.parse::<Username>() {
        assert!(!matches!(text, "." | "..") && !text.contains(['/', '~', '%']), "{text}");
        assert!(name.folded().parse::<Username>().is_ok(), "{text}");
    }
}
