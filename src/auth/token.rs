//! Tokens: how a caller says who he is.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    clock::{Random, Timestamp},
    kv::{RunId, TokenId, UserId},
};

use super::scope::Scope;

/// What tokens of the platform begin with; clients take them as opaque.
const PREFIX: &str = "apify_api_";

/// Random characters in a token: 36 of 62 are 214 bits.
const RANDOM_LENGTH: usize = 36;

/// What the random part is made of.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token in the clear. It is shown only by [`Token::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token that was given from outside.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A fresh token.
    pub fn generate(random: &dyn Random) -> Self {
        let characters = random.characters(ALPHABET, RANDOM_LENGTH);
        Self(PREFIX.chars().chain(characters.into_iter().map(char::from)).collect())
    }

    /// Whether a text is of the form of those that are made here: any other is no token of anybody's, but maybe one that was
    /// given from outside.
    pub fn is_of_form(text: &str) -> bool {
        let random = text.strip_prefix(PREFIX).map(str::as_bytes);
        random.is_some_and(|random| random.len() == RANDOM_LENGTH && random.iter().all(u8::is_ascii_alphanumeric))
    }

    /// The token's text. For its owner's eyes only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

/// What is kept of a token: a copy of memory or disk shows none. Hashes are compared in constant time, so that nothing
/// of a token can be learnt by timing.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token's text: it is random, so that nothing slower is needed.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether both are of one token.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The bytes.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hash.to_string()
    }
}

/// The text is not the hash of a token.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a hash is 64 hexadecimal digits")]
pub struct InvalidHash;

impl TryFrom<String> for TokenHash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        let mut bytes = [0; 32];
        // The number's own parsing takes a sign for a digit.
        if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidHash);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| InvalidHash)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidHash)?;
        }
        Ok(Self(bytes))
    }
}

/// A token as it is kept: everything but itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptToken {
    /// Identifies it.
    pub id: TokenId,
    /// What it is recognised by.
    pub hash: TokenHash,
    /// Whose it is.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not valid any more; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// What it is limited to; `None`: nothing, it may do all that its user may.
    pub scope: Option<Scope>,
    /// The run that it was made for, and that it ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl KeptToken {
    /// Whether it may be used.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRandom;

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        let token = Token::generate(&SeededRandom::new(5));
        assert!(!format!("{token:?} {:?}", token.hash()).contains(token.reveal()));
        assert!(Token::is_of_form(token.reveal()));
        for text in ["", "wrong", &token.reveal()[1..], &token.reveal().replace("api", "ipa"), "apify_api_"] {
            assert!(!Token::is_of_form(text), "{text}");
        }
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_is_that_of_one_token() {
        let hash = Token::new("apify_api_x").hash();
        let read = TokenHash::try_from(hash.to_string()).expect("it is a hash");
        assert!(read.is(&hash) && !read.is(&Token::new("apify_api_y").hash()));
        for text in ["", "00", &"g".repeat(64), &"ä".repeat(32), &"+f".repeat(32)] {
            assert!(TokenHash::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
