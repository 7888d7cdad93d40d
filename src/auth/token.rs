//! Tokens: how a caller says who he is.

use std::{fmt, sync::Arc};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::Random;

use super::{caller::Caller, user::User};

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

    /// The token's text. For its owner's eyes only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

/// The token is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is nobody's")]
pub struct UnknownToken;

/// The tokens that are valid, as hashes: a copy of memory or disk shows none of them.
#[derive(Debug)]
pub struct Tokens {
    admin: [u8; 32],
    user: Arc<User>,
}

impl Tokens {
    /// The one token of the account there is from the start.
    pub fn new(admin: &Token, user: Arc<User>) -> Self {
        Self { admin: digest(admin.reveal()), user }
    }

    /// Whoever has `token`. Hashes are compared, in constant time, so that nothing of a token can be learnt by timing.
    pub fn identify(&self, token: Option<&str>) -> Result<Caller, UnknownToken> {
        let Some(token) = token else { return Ok(Caller::Anonymous) };
        if bool::from(digest(token).ct_eq(&self.admin)) {
            Ok(Caller::User(Arc::clone(&self.user)))
        } else {
            Err(UnknownToken)
        }
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{SeededRandom, Timestamp},
        kv::UserId,
    };

    fn tokens() -> (Token, Tokens) {
        let random = SeededRandom::new(5);
        let id = UserId::generate(&random);
        let user = User { id, username: "admin".to_owned(), created_at: Timestamp::from_millis(0) };
        let token = Token::generate(&random);
        (token.clone(), Tokens::new(&token, Arc::new(user)))
    }

    #[test]
    fn only_the_very_token_identifies_its_user() {
        let (token, tokens) = tokens();
        assert!(matches!(tokens.identify(Some(token.reveal())), Ok(Caller::User(_))));
        assert!(matches!(tokens.identify(None), Ok(Caller::Anonymous)));
        for wrong in ["", "wrong", &token.reveal()[1..], &format!("{} ", token.reveal())] {
            assert!(tokens.identify(Some(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        let (token, tokens) = tokens();
        assert!(!format!("{token:?} {tokens:?}").contains(token.reveal()));
        assert_eq!(token.reveal().len(), PREFIX.len() + RANDOM_LENGTH);
    }
}
