//! Names of stores, keys of records: valid characters, length, equality and order. The search text of a store, its name
//! and title, as kept in the listing index.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::ids::StoreId;

/// Maximum length of a store name in characters (`STORAGE_NAME` of `@apify/consts`).
pub const MAX_NAME_LENGTH: usize = 63;

/// The text is not a valid store name. The message is the platform's, word for word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// An invalid character, or a hyphen at either end.
    #[error(
        "Invalid value provided in store: name can only contain letters 'a' through 'z', the digits '0' through '9', \
         and the hyphen ('-') but only in the middle of the string (e.g. 'my-value-1')"
    )]
    Characters,
    /// Too long.
    #[error("Invalid value provided in store: name can have at most {MAX_NAME_LENGTH} characters")]
    TooLong,
}

/// The name of a store: letters, digits and inner hyphens, in the letter case given.
///
/// Names that differ only in letter case are equal: they have the same [`StoreName::folded`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreName(String);

impl StoreName {
    /// Returns the name in its letter case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name in lower case, which is unique per owner.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl PartialEq for StoreName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for StoreName {}

impl FromStr for StoreName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        if !bytes.iter().copied().all(inner) || !outer(bytes.first()) || !outer(bytes.last()) {
            return Err(InvalidName::Characters);
        }
        if bytes.len() > MAX_NAME_LENGTH {
            return Err(InvalidName::TooLong);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for StoreName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<StoreName> for String {
    fn from(name: StoreName) -> Self {
        name.0
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

/// Maximum size of a search text in bytes. It keeps the key of an index entry within the limit of object stores on top of a
/// file system (see `object_keys`).
const MAX_SEARCH_TEXT_BYTES: usize = 135;

/// Between name and title. Neither contains it except on purpose.
const SEPARATOR: char = '\n';

/// The name and the title of a store, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchText(Box<str>);

impl SearchText {
    /// Returns the search text of a store; `None` if it is too long to index, so the store itself must be searched.
    pub fn new(name: Option<&StoreName>, title: Option<&str>) -> Option<Self> {
        let text = format!("{}{SEPARATOR}{}", name.map_or("", StoreName::as_str), title.unwrap_or_default());
        let text = text.to_lowercase();
        (text.len() <= MAX_SEARCH_TEXT_BYTES).then(|| Self(text.into_boxed_str()))
    }

    /// Returns whether the store may match this text, in lower case.
    pub fn contains(&self, search: &str) -> bool {
        self.0.contains(search)
    }

    /// Encodes it in characters that are valid in an object key.
    pub fn encoded(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.as_bytes())
    }

    /// Decodes the result of [`encoded`](Self::encoded).
    pub fn decoded(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(String::from_utf8(bytes).ok()?.into_boxed_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_letters_digits_and_inner_hyphens() {
        for name in ["a", "my-store", "API-test", "0", "a--b", &"x".repeat(63)] {
            assert!(name.parse::<StoreName>().is_ok(), "{name}");
        }
        for name in ["", "-", "-a", "a-", "a_b", "a.b", "a b", "é", &"x".repeat(64)] {
            assert!(name.parse::<StoreName>().is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_differ_in_case_are_the_same() {
        assert_eq!("Shop".parse::<StoreName>(), "sHOP".parse());
    }

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

    #[test]
    fn a_search_text_has_name_and_title_and_reads_back() {
        let name: StoreName = "Shop-Pages".parse().expect("a name");
        for (name, title, found) in [
            (Some(&name), Some("Äpfel & Brot"), &["shop-p", "äpfel"][..]),
            (Some(&name), None, &["pages"]),
            (None, Some("Brot"), &["brot"]),
            (None, None, &[""]),
        ] {
            let search_text = SearchText::new(name, title).expect("it is short");
            assert!(
                found.iter().all(|text| search_text.contains(text)) && !search_text.contains("attic"),
                "{search_text:?}"
            );
            assert_eq!(SearchText::decoded(&search_text.encoded()), Some(search_text));
        }
        assert_eq!(SearchText::new(Some(&name), Some(&"x".repeat(125))), None);
        assert_eq!(SearchText::decoded("?"), None);
    }
}
