//! Store names: valid characters, length and equality.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

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
}
