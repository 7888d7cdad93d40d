//! Identifiers: 17 characters, random, case-sensitive.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::clock::Random;

/// Characters in an identifier (`APIFY_ID_REGEX` of `@apify/consts`).
const ID_LENGTH: usize = 17;

/// What new identifiers are made of: no character that is easily read as another.
const ID_ALPHABET: &[u8; 55] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";

/// The text is not 17 letters and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is {ID_LENGTH} letters and digits")]
pub struct IdError;

/// Seventeen ASCII letters and digits, held without an allocation: a listing holds one for each store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Id([u8; ID_LENGTH]);

impl Id {
    fn generate(random: &dyn Random) -> Self {
        let mut id = [0; ID_LENGTH];
        id.copy_from_slice(&random.characters(ID_ALPHABET, ID_LENGTH));
        Self(id)
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
            /// Letters and digits in it.
            pub const LENGTH: usize = ID_LENGTH;

            /// A fresh identifier.
            pub fn generate(random: &dyn Random) -> Self {
                Self(Id::generate(random))
            }

            /// The identifier's text.
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
    /// Identifies a store, for ever: it is random, never derived and never used again.
    StoreId
}

identifier! {
    /// Identifies a user.
    UserId
}

identifier! {
    /// Identifies a token; it is not the token, and no secret.
    TokenId
}

identifier! {
    /// Identifies a run of an actor, which stores may belong to.
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
    fn a_fresh_id_reads_back_and_differs_from_the_next() {
        let random = SeededRandom::new(1);
        let id = StoreId::generate(&random);
        assert_eq!(id.as_str().parse::<StoreId>(), Ok(id));
        assert_ne!(StoreId::generate(&random), id);
    }

    #[test]
    fn only_seventeen_letters_and_digits_are_an_id() {
        for text in ["", "shop", "WkzbQMuFYuamGv3Y", "WkzbQMuFYuamGv3YFx", "WkzbQMuFYuamGv3Y~", "WkzbQMuFYuamGv3é"] {
            assert_eq!(text.parse::<StoreId>(), Err(IdError), "{text}");
        }
    }
}
