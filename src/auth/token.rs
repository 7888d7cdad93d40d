//! Tokens, the credentials of callers, and their scopes.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    clock::{Random, Timestamp},
    kv::{Document, Right, RunId, StoreId, StoreName, TokenId, UserId},
};

/// Prefix of every token. It is Larder's own, so that scanners for leaked secrets do not take a token for one of the platform;
/// official clients take tokens as opaque.
const PREFIX: &str = "larder_";

/// Number of random characters in a token: 30 of 62 are 178 bits.
const RANDOM_LENGTH: usize = 30;

/// Number of characters of the checksum at the end of a token: six of 62 hold 32 bits.
const CHECKSUM_LENGTH: usize = 6;

/// Digits of base 62, by value; random characters are drawn from them as well.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Token in clear text. Only [`Token::reveal`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a token from outside.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Generates a fresh token.
    pub fn generate(random: &dyn Random) -> Self {
        let random = random.characters(ALPHABET, RANDOM_LENGTH);
        let checksum = checksum(&random);
        Self(PREFIX.bytes().chain(random).chain(checksum).map(char::from).collect())
    }

    /// Returns whether a text has the form of generated tokens, `larder_[0-9A-Za-z]{36}`, with a correct checksum. No
    /// other text is looked up: a guess or a typing mistake costs no read.
    pub fn is_well_formed(text: &str) -> bool {
        let digits = text.strip_prefix(PREFIX).map(str::as_bytes);
        let parts = digits.and_then(|digits| digits.split_at_checked(RANDOM_LENGTH));
        parts.is_some_and(|(random, given)| random.iter().all(u8::is_ascii_alphanumeric) && checksum(random) == given)
    }

    /// Returns the token's text. Only its owner may see it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the hash under which the token is stored.
    pub fn hash(&self) -> TokenHash {
        TokenHash::from_text(&self.0)
    }
}

/// Returns the checksum of a token's random characters: their CRC-32 (that of zlib and IEEE 802.3) in base 62, the most
/// significant digit first.
fn checksum(random: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32fast::hash(random) as usize;
    let mut digits = [ALPHABET[0]; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    digits
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

/// Hash of a token. Only hashes are stored, so a copy of memory or disk shows no token. They are compared in constant
/// time, so timing reveals nothing about a token.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hashes a token's text. The text is random, so a slow hash is not needed.
    pub fn from_text(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Returns whether both are hashes of the same token.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Returns the bytes.
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

/// Error for a text that is not the hash of a token.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a hash is 64 hexadecimal digits")]
pub struct InvalidHash;

impl TryFrom<String> for TokenHash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        let mut bytes = [0; 32];
        // The integer parser would accept a sign as a digit.
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

/// Stored token: its metadata and hash, without the secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredToken {
    /// The token's id.
    pub id: TokenId,
    /// The token's hash.
    pub hash: TokenHash,
    /// The token's user.
    pub user_id: UserId,
    /// The name that its owner gave it.
    pub name: Option<String>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of expiry; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// The token's scope; `None` for all rights of its user.
    pub scope: Option<Scope>,
    /// The run that the token belongs to, and ends with.
    #[serde(rename = "runId", default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl StoredToken {
    /// Returns whether the token has not expired.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// Maximum number of store rules in a scope.
pub const MAX_STORE_RULES: usize = 500;

/// Maximum number of datasets, and of request queues, in a scope.
pub const MAX_UPSTREAM_IDS: usize = 100;

/// Maximum length of the id of a dataset or a request queue, on any upstream.
const MAX_UPSTREAM_ID_LENGTH: usize = 100;

/// Kind of resource that only the upstream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamKind {
    /// Datasets.
    Dataset,
    /// Request queues.
    RequestQueue,
}

impl UpstreamKind {
    /// Returns the path segment for the collection in the platform's API.
    pub fn collection(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::RequestQueue => "request-queues",
        }
    }
}

/// Subset of the user's rights that a token has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scope {
    /// List the account's stores.
    pub list: bool,
    /// Create stores. The token has every right on the stores that it created.
    pub create: bool,
    /// Rights on stores.
    pub stores: Vec<StoreRule>,
    /// Ids of the upstream's datasets that the token may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
    /// Ids of the upstream's request queues that the token may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_queues: Vec<String>,
}

/// Right on one store or on several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum StoreRule {
    /// On the store of that id, whatever its name.
    Id {
        /// Its id.
        id: StoreId,
        /// The right.
        right: Right,
    },
    /// On the store of that name of the token's user.
    Name {
        /// The name, in any letter case.
        name: StoreName,
        /// The right.
        right: Right,
    },
    /// On all stores of the token's user whose names have that prefix.
    NamePrefix {
        /// The prefix, in any letter case. A request for such a rule may not leave it empty.
        #[serde(rename = "namePrefix")]
        name_prefix: String,
        /// The right.
        right: Right,
    },
}

impl Scope {
    /// Returns the right on a store that the rules give a token of `user`.
    pub fn right_on(&self, document: &Document, user: &UserId) -> Option<Right> {
        self.stores.iter().filter_map(|rule| rule.right_on(document, user)).max()
    }

    /// Returns the right that the rules give by id alone.
    pub fn right_on_id(&self, store: &StoreId) -> Option<Right> {
        let right = |rule: &StoreRule| match rule {
            StoreRule::Id { id, right } => (id == store).then_some(*right),
            StoreRule::Name { .. } | StoreRule::NamePrefix { .. } => None,
        };
        self.stores.iter().filter_map(right).max()
    }

    /// Returns the scope of a run's token: write to the run's store, use its dataset and its request queue, and, if the
    /// scope `opens` other stores, write to stores that the token creates and to named stores of its user.
    pub fn for_run(store: StoreId, dataset: &str, request_queue: &str, opens: bool) -> Self {
        let own = StoreRule::Id { id: store, right: Right::Write };
        let named = StoreRule::NamePrefix { name_prefix: String::new(), right: Right::Write };
        let stores = [own].into_iter().chain(opens.then_some(named)).collect();
        let (datasets, request_queues) = (vec![dataset.to_owned()], vec![request_queue.to_owned()]);
        Self { list: opens, create: opens, stores, datasets, request_queues }
    }

    /// Returns whether the scope has the dataset or request queue of that id.
    pub fn names_upstream(&self, kind: UpstreamKind, id: &str) -> bool {
        let named = match kind {
            UpstreamKind::Dataset => &self.datasets,
            UpstreamKind::RequestQueue => &self.request_queues,
        };
        named.iter().any(|named| named == id)
    }

    /// Returns whether the scope is valid.
    pub fn is_sensible(&self) -> bool {
        let is_empty =
            |rule: &StoreRule| matches!(rule, StoreRule::NamePrefix { name_prefix, .. } if name_prefix.is_empty());
        let are_ids = |ids: &[String]| ids.len() <= MAX_UPSTREAM_IDS && ids.iter().all(|id| is_upstream_id(id));
        self.stores.len() <= MAX_STORE_RULES
            && !self.stores.iter().any(is_empty)
            && are_ids(&self.datasets)
            && are_ids(&self.request_queues)
    }
}

/// Returns whether a text can be an upstream's id of a dataset or a request queue.
pub fn is_upstream_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_UPSTREAM_ID_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
}

impl StoreRule {
    fn right_on(&self, document: &Document, user: &UserId) -> Option<Right> {
        // Names are per owner: another user's store of the same name is a different one.
        let own_name = document.name.as_ref().filter(|_| document.owner_id == *user);
        match self {
            Self::Id { id, right } => (document.id == *id).then_some(*right),
            Self::Name { name, right } => (own_name == Some(name)).then_some(*right),
            Self::NamePrefix { name_prefix, right } => {
                let begins = |name: &StoreName| {
                    let start = name.as_str().as_bytes().get(..name_prefix.len());
                    start.is_some_and(|start| start.eq_ignore_ascii_case(name_prefix.as_bytes()))
                };
                own_name.is_some_and(begins).then_some(*right)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::SeededRandom;

    use super::*;

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        let token = Token::generate(&SeededRandom::new(5));
        assert!(!format!("{token:?} {:?}", token.hash()).contains(token.reveal()));
    }

    #[test]
    fn a_mistyped_token_is_detected_by_its_checksum() {
        // The checksum by Python: zlib.crc32(b"0123456789ABCDEFGHIJKLMNOPQRST") in base 62.
        assert!(Token::is_well_formed("larder_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp"));
        for seed in 0..100 {
            let token = Token::generate(&SeededRandom::new(seed));
            let text = token.reveal();
            assert!(text.len() == 43 && Token::is_well_formed(text), "{text}");
            for (at, character) in text.char_indices() {
                let other = if character == 'x' { 'y' } else { 'x' };
                let mistyped = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(!Token::is_well_formed(&mistyped), "{mistyped}");
            }
            assert!(!Token::is_well_formed(&text[1..]) && !Token::is_well_formed(&format!("{text}0")), "{text}");
        }
        for text in ["", "wrong", "larder_", "apify_api_0123456789abcdefghijklmnopqrstuvwxyz"] {
            assert!(!Token::is_well_formed(text), "{text}");
        }
        assert!(!Token::is_well_formed(&format!("larder_{}ä{}", "0".repeat(29), "0".repeat(5))));
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_is_that_of_one_token() {
        let hash = Token::new("larder_x").hash();
        let read = TokenHash::try_from(hash.to_string()).expect("it is a hash");
        assert!(read.matches(&hash) && !read.matches(&Token::new("larder_y").hash()));
        for text in ["", "00", &"g".repeat(64), &"ä".repeat(32), &"+f".repeat(32)] {
            assert!(TokenHash::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_names_one_thing_and_a_right() {
        let parsed = |text: &str| serde_json::from_str::<Scope>(text);
        let scope = parsed(
            r#"{"create":true,"stores":[{"id":"WkzbQMuFYuamGv3YF","right":"read"},{"name":"shop","right":"write"},
               {"namePrefix":"crawl-","right":"manage"}]}"#,
        );
        let scope = scope.expect("it is a scope");
        assert!(scope.create && !scope.list && scope.stores.len() == 3 && scope.is_sensible());
        for text in [
            r#"{"everything":true}"#,
            r#"{"stores":[{"right":"read"}]}"#,
            r#"{"stores":[{"id":"WkzbQMuFYuamGv3YF","name":"shop","right":"read"}]}"#,
            r#"{"stores":[{"id":"x","right":"read"}]}"#,
            r#"{"stores":[{"name":"shop","right":"all"}]}"#,
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(!parsed(r#"{"stores":[{"namePrefix":"","right":"read"}]}"#).expect("it parses").is_sensible());
    }
}
