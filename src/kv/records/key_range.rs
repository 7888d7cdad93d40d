//! Key range that a key query selects.

use crate::kv::model::{
    errors::{Error, Result},
    keys::MAX_KEY_LENGTH,
    schema::{CollectionKeys, Schema},
};

/// A query for keys. All conditions apply together.
#[derive(Debug, Clone, Default)]
pub struct KeyQuery {
    /// Only keys that begin with this.
    pub prefix: Option<String>,
    /// Only keys after this one, which need not exist.
    pub exclusive_start_key: Option<String>,
    /// Only keys of this collection of the store's schema.
    pub collection: Option<String>,
    /// Maximum number of keys, from 1 to [`MAX_LIST_KEYS`](crate::storage::MAX_LIST_KEYS).
    pub limit: usize,
}

/// A page of keys, in byte order.
#[derive(Debug, Clone, Default)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<ListedKey>,
    /// True if more keys follow.
    pub is_truncated: bool,
}

/// A key in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// The key.
    pub key: String,
    /// Stored bytes.
    pub size: u64,
}

/// A range of keys.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyRange {
    /// No keys.
    Empty,
    /// Keys with a prefix.
    Keys {
        /// The prefix.
        prefix: String,
        /// Only those after this key, which begins with the prefix.
        after: Option<String>,
        /// Only the key that equals the prefix.
        only: bool,
    },
}

impl KeyRange {
    /// Returns the range that `query` selects in a store with `schema`.
    pub fn from_query(query: &KeyQuery, schema: Option<&Schema>) -> Result<Self> {
        let wanted = query.prefix.as_deref().unwrap_or_default();
        let collection = query.collection.as_deref().map(|id| {
            let keys = schema.and_then(|schema| schema.collection(id));
            keys.ok_or_else(|| Error::UnknownCollection(id.to_owned()))
        });
        let (prefix, only) = match collection.transpose()? {
            None => (wanted.to_owned(), false),
            Some(CollectionKeys::Key(key)) if key.starts_with(wanted) => (key, true),
            Some(CollectionKeys::Prefix(prefix)) if prefix.starts_with(wanted) => (prefix, false),
            Some(CollectionKeys::Prefix(prefix)) if wanted.starts_with(&prefix) => (wanted.to_owned(), false),
            Some(CollectionKeys::Key(_) | CollectionKeys::Prefix(_)) => return Ok(Self::Empty),
        };
        let can_begin_a_key = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if prefix.len() > MAX_KEY_LENGTH || !prefix.bytes().all(can_begin_a_key) {
            return Ok(Self::Empty);
        }
        let after = query.exclusive_start_key.as_deref().map(last_key_before);
        Ok(match after {
            Some(after) if only && after >= prefix => Self::Empty,
            Some(after) if after.starts_with(&prefix) && !only => Self::Keys { prefix, after: Some(after), only },
            Some(after) if after > prefix && !only => Self::Empty,
            Some(_) | None => Self::Keys { prefix, after: None, only },
        })
    }
}

/// Returns a text of printable ASCII that the same keys follow as follow `start`, which may be any text.
///
/// At the first character of `start` that no key contains, only one thing matters: whether keys continue with a
/// smaller or a greater byte.
fn last_key_before(start: &str) -> String {
    /// After every character of keys.
    const BEHIND_ALL: char = '~';
    let mut after = String::new();
    for character in start.chars().take(MAX_KEY_LENGTH) {
        match character {
            '\0'..=' ' => return after,
            '!'..='.' | '0'..='~' => after.push(character),
            // Keys after it continue with a digit or a letter, keys before it with a dot at most.
            '/' => {
                after.push('.');
                after.push(BEHIND_ALL);
                return after;
            }
            _ => {
                after.push(BEHIND_ALL);
                return after;
            }
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(prefix: &str, start: &str) -> KeyRange {
        let query = KeyQuery {
            prefix: Some(prefix.to_owned()),
            exclusive_start_key: Some(start.to_owned()),
            ..KeyQuery::default()
        };
        KeyRange::from_query(&query, None).expect("no collection is asked for")
    }

    #[test]
    fn a_start_outside_the_prefix_is_before_all_of_it_or_behind() {
        let all = KeyRange::Keys { prefix: "b-".to_owned(), after: None, only: false };
        assert_eq!(range("b-", "a"), all);
        assert_eq!(range("b-", "b"), all);
        assert_eq!(range("b-", "c"), KeyRange::Empty);
        let some = KeyRange::Keys { prefix: "b-".to_owned(), after: Some("b-7".to_owned()), only: false };
        assert_eq!(range("b-", "b-7"), some);
    }

    #[test]
    fn a_prefix_that_no_key_has_means_no_key() {
        for prefix in ["a b", "é", "a/b", &"x".repeat(257)] {
            assert_eq!(range(prefix, ""), KeyRange::Empty, "{prefix}");
        }
    }

    #[test]
    fn any_start_parts_the_keys_as_its_bytes_do() {
        let keys = ["!", "a", "a!", "a'", "a.", "a.z", "a0", "a9", "aA", "aZ", "a_", "aa", "az", "b"];
        for start in ["a", "a b", "a/b", "a\n", "aé", "a~", "a:", "a@", "a0 ", "\u{7f}", "é", "a.é"] {
            let after = last_key_before(start);
            for key in keys {
                assert_eq!(key > after.as_str(), key.as_bytes() > start.as_bytes(), "{key:?} behind {start:?}");
            }
        }
    }
}
