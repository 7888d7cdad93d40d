//! Rules for names that the server rejects.

use crate::kv::{MAX_KEY_LENGTH, MAX_NAME_LENGTH, RecordKey, StoreName};

/// Treatment of names of stores and keys of records that the server rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Naming {
    /// Leave them out.
    #[default]
    Keep,
    /// Replace each rejected character by a hyphen. Remove hyphens at the ends of the name of a store, and truncate a
    /// name that is too long.
    Map,
}

impl Naming {
    /// Returns the name for a store whose own name is rejected, if there is one.
    pub fn store(self, refused: &str) -> Option<StoreName> {
        let text: String = refused.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '-' }).collect();
        let text = text.trim_matches('-');
        text[..text.len().min(MAX_NAME_LENGTH)].trim_end_matches('-').parse().ok().filter(|_| self == Self::Map)
    }

    /// Returns the key for a record whose own key is rejected, if there is one.
    pub fn key(self, refused: &str) -> Option<RecordKey> {
        let is_allowed = |sign: char| sign.to_string().parse::<RecordKey>().is_ok();
        let text: String = refused.chars().map(|sign| if is_allowed(sign) { sign } else { '-' }).collect();
        text[..text.len().min(MAX_KEY_LENGTH)].parse().ok().filter(|_| self == Self::Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_names_of_stores_become_names() {
        let long = format!("{}_b", "a".repeat(62));
        for (refused, mapped) in [
            ("my_store", Some("my-store")),
            ("_My store é", Some("My-store")),
            ("a__b", Some("a--b")),
            (long.as_str(), Some(&long[..62])),
            ("___", None),
            ("", None),
        ] {
            let name = Naming::Map.store(refused);
            assert_eq!(name.as_ref().map(StoreName::as_str), mapped, "{refused:?}");
            assert!(Naming::Keep.store(refused).is_none());
        }
    }

    #[test]
    fn refused_keys_of_records_become_keys() {
        let long = "k".repeat(300);
        for (refused, mapped) in
            [("no key", Some("no-key")), ("é/a.b", Some("--a.b")), (long.as_str(), Some(&long[..256])), ("", None)]
        {
            let key = Naming::Map.key(refused);
            assert_eq!(key.as_ref().map(RecordKey::as_str), mapped, "{refused:?}");
            assert!(Naming::Keep.key(refused).is_none());
        }
    }
}
