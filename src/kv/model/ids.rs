//! Identifiers: 17 characters, random, case-sensitive.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::clock::{Random, Timestamp};

/// Characters in an identifier (`APIFY_ID_REGEX` of `@apify/consts`).
const ID_LENGTH: usize = 17;

/// Alphabet of new identifiers: no character that is easily mistaken for another.
const ID_ALPHABET: &[u8; 55] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";

/// The text is not 17 letters and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is {ID_LENGTH} letters and digits")]
pub struct IdError;

/// Seventeen ASCII letters and digits, held without an allocation: a listing holds one for each store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Id([u8; ID_LENGTH]);

/// Leading characters of an identifier that encode its creation time, in milliseconds in base 55 of the alphabet:
/// enough until the year 4623.
const TIME_LENGTH: usize = 8;

impl Id {
    /// Returns a fresh identifier that sorts, by bytes, after those of an earlier millisecond.
    fn generate_at(now: Timestamp, random: &dyn Random) -> Self {
        let mut id = Self::generate(random);
        let base = ID_ALPHABET.len() as u64;
        let mut left = u64::try_from(now.as_millis()).unwrap_or(0);
        for digit in id.0[..TIME_LENGTH].iter_mut().rev() {
            *digit = ID_ALPHABET[usize::try_from(left % base).unwrap_or(0)];
            left /= base;
        }
        id
    }

    fn generate(random: &dyn Random) -> Self {
        let mut id = [0; ID_LENGTH];
        id.copy_from_slice(&random.characters(ID_ALPHABET, ID_LENGTH));
        Self(id)
    }

    /// Returns an identifier that is never assigned: generated ones have no `0`.
    fn unassigned(number: u64) -> Self {
        Self::parse(&format!("{number:0ID_LENGTH$x}")).unwrap_or(Self([b'0'; ID_LENGTH]))
    }

    fn parse(text: &str) -> Result<Self, IdError> {
        let bytes: [u8; ID_LENGTH] = text.as_bytes().try_into().map_err(|_| IdError)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(bytes)) } else { Err(IdError) }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Id);

        impl $name {
            /// Number of letters and digits.
            pub const LENGTH: usize = ID_LENGTH;

            /// Returns a fresh identifier.
            pub fn generate(random: &dyn Random) -> Self {
                Self(Id::generate(random))
            }

            /// Returns an identifier that is never assigned, the same for the same number: for a lookup that must
            /// fail.
            pub fn unassigned(number: u64) -> Self {
                Self(Id::unassigned(number))
            }

            /// Returns the identifier's text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Id::parse(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

identifier! {
    /// Identifies a store permanently: random, never derived, never reused.
    StoreId
}

identifier! {
    /// Identifies a user.
    UserId
}

identifier! {
    /// Identifies a token; not a secret.
    TokenId
}

impl TokenId {
    /// Returns a fresh identifier. Identifiers of a user's tokens sort by creation time, to the millisecond.
    pub fn generate_at(now: Timestamp, random: &dyn Random) -> Self {
        Self(Id::generate_at(now, random))
    }
}

identifier! {
    /// Identifies an actor run, which stores may belong to.
    RunId
}

identifier! {
    /// Identifies an actor, or a task of one.
    ActorId
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRandom;

    #[test]
    fn a_vacant_id_is_never_generated() {
        for number in [0, 1, 0xabc, u64::MAX] {
            let unassigned = StoreId::unassigned(number);
            assert_eq!(unassigned.as_str().parse(), Ok(unassigned));
            assert!(unassigned.as_str().bytes().any(|byte| !ID_ALPHABET.contains(&byte)), "{unassigned}");
        }
        assert_ne!(StoreId::unassigned(1), StoreId::unassigned(2));
    }

    #[test]
    fn a_fresh_id_reads_back_and_differs_from_the_next() {
        let random = SeededRandom::new(1);
        let id = StoreId::generate(&random);
        assert_eq!(id.as_str().parse::<StoreId>(), Ok(id));
        assert_ne!(StoreId::generate(&random), id);
    }

    #[test]
    fn ids_of_tokens_are_in_the_order_of_their_creation() {
        let random = SeededRandom::new(1);
        let mut before = None;
        for millis in [0, 1, 54, 55, 56, 3025, 1_767_225_600_000, 1_767_225_600_001, 9_999_999_999_999] {
            let id = TokenId::generate_at(Timestamp::from_millis(millis), &random);
            assert_eq!(id.as_str().parse(), Ok(id));
            assert!(before < Some(id), "{millis}");
            before = Some(id);
        }
        let now = Timestamp::from_millis(1_767_225_600_000);
        assert_ne!(TokenId::generate_at(now, &random), TokenId::generate_at(now, &random));
    }

    #[test]
    fn only_seventeen_letters_and_digits_are_an_id() {
        for text in ["", "shop", "WkzbQMuFYuamGv3Y", "WkzbQMuFYuamGv3YFx", "WkzbQMuFYuamGv3Y~", "WkzbQMuFYuamGv3é"] {
            assert_eq!(text.parse::<StoreId>(), Err(IdError), "{text}");
        }
    }
}
