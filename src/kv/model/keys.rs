//! Record keys: valid characters, length and order.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::ids::StoreId;

/// Maximum length of a record key in characters (`KEY_VALUE_STORE_KEY_REGEX` of `@apify/consts`).
pub const MAX_KEY_LENGTH: usize = 256;

/// The text is not a valid record key. The message of the first variant is the platform's, word for word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// A character outside `a-zA-Z0-9!-_.'()`.
    #[error("Record key contains invalid character")]
    Characters,
    /// No character, or more than [`MAX_KEY_LENGTH`].
    #[error("Record key must have between 1 and {MAX_KEY_LENGTH} characters")]
    Length,
}

/// Key of a record: 1 to 256 of `a-zA-Z0-9!-_.'()`, case-sensitive, in byte order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RecordKey(String);

impl RecordKey {
    /// Returns the key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the key equals the text that is signed for links to the keys of store `id`: `0.{end in
    /// milliseconds}.{id}`. A link to such a record would also open the keys and the ZIP file, and a link to the keys
    /// the record.
    pub fn is_reserved_in(&self, id: &StoreId) -> bool {
        let Some((end, key_id)) = self.0.strip_prefix("0.").and_then(|rest| rest.split_once('.')) else { return false };
        let digits = end.strip_prefix('-').unwrap_or(end);
        key_id == id.as_str() && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    }
}

impl TryFrom<String> for RecordKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

impl FromStr for RecordKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.'()".contains(&byte);
        if !text.bytes().all(allowed) {
            return Err(InvalidKey::Characters);
        }
        if text.is_empty() || text.len() > MAX_KEY_LENGTH {
            return Err(InvalidKey::Length);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_form_of_what_signs_links_to_the_keys_of_their_own_store_are_reserved() {
        let id: StoreId = "WkzbQMuFYuamGv3YF".parse().expect("an id");
        let is_reserved = |key: &str| key.parse::<RecordKey>().expect("a key").is_reserved_in(&id);
        for end in ["0", "1768435200000", "-1", "007", "99999999999999999999999"] {
            assert!(is_reserved(&format!("0.{end}.{id}")), "{end}");
        }
        for key in ["0", "0.0", "0.0.", "0.0.eJNzqsbPiopwJcgGQ", "0..WkzbQMuFYuamGv3YF", "0.-.WkzbQMuFYuamGv3YF"] {
            assert!(!is_reserved(key), "{key}");
        }
        for key in ["1.0.ID", "00.0.ID", "0.x.ID", "0.0.ID.", "0.0.ID.png", "0.0.0.ID", "a0.0.ID", "0.1-.ID", "ID"] {
            assert!(!is_reserved(&key.replace("ID", id.as_str())), "{key}");
        }
        assert!(!is_reserved(&format!("0.0.{id}").to_lowercase()));
    }

    #[test]
    fn a_key_is_what_the_platform_lets_be_one() {
        for key in ["a", ".", "..", "my!key'(v1).json", "__STORAGE_ALIASES_MAPPING", &"k".repeat(256)] {
            assert!(key.parse::<RecordKey>().is_ok(), "{key}");
        }
        for key in ["a b", "a:b", "a*b", "é", "a/b", "100%", "a~b", "a+b", "a@b"] {
            assert_eq!(key.parse::<RecordKey>(), Err(InvalidKey::Characters), "{key}");
        }
        for key in ["", &"k".repeat(257)] {
            assert_eq!(key.parse::<RecordKey>(), Err(InvalidKey::Length));
        }
    }
}
