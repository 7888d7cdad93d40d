//! The objects of tokens. Only this module reads and writes them.
//!
//! ```text
//! larder/auth/tokens/{hash}                           the token, or that it was revoked
//! larder/auth/tokens-by-user/{user}/{id}              an entry, which leads to the hash; ids are in the order of their making
//! larder/auth/token-last-used/{user}/{id}             when the token was last used
//! larder/auth/tokens-due/{time}-{user}-{id}-{hash}    a due item: what is left of the token may be deleted then
//! ```
//!
//! The object at a hash is written only by create-if-absent or compare-and-swap. Revocation puts a tombstone there,
//! which nothing replaces: a write that began before and arrives afterwards loses. The tombstone is deleted once no
//! request that began before it can still write ([`MAX_REQUEST_DURATION`]).

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    kv::{
        TokenId, UnconditionalWrite, UserId, create_json, delete_json, list_names, put_unconditionally, read_json,
        replace_json,
    },
    storage::{ETag, ListOptions, MAX_LIST_KEYS, ObjectStore},
};

use super::{
    token::{StoredToken, TokenHash},
    user::Result,
};

/// Prefix of tokens by hash.
pub const TOKENS: &str = "larder/auth/tokens/";

/// Prefix of the entries of users' tokens.
pub const TOKENS_BY_USER: &str = "larder/auth/tokens-by-user/";

/// Prefix of the last uses of tokens.
pub const TOKENS_LAST_USED: &str = "larder/auth/token-last-used/";

/// Prefix of due items.
pub const TOKENS_DUE: &str = "larder/auth/tokens-due/";

/// Maximum time until a write of a request that has begun may still take effect.
pub const MAX_REQUEST_DURATION: Duration = Duration::from_hours(1);

/// Object at a token's hash.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TokenState {
    /// The token. It may have expired.
    Kept(StoredToken),
    /// A tombstone.
    Revoked(Revocation),
}

/// Time at which a token was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// By the wall clock.
    pub revoked_at: Timestamp,
    /// By the uptime of the installation, in seconds.
    pub uptime_secs: u64,
}

/// Entry of a user's token: its hash.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    hash: TokenHash,
}

/// Time at which a token was last used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct LastUse {
    at: Timestamp,
}

/// Informational only. A last use that is written after the token was revoked is deleted with the tombstone.
impl UnconditionalWrite for LastUse {}

/// Token whose remaining objects are due for deletion.
#[derive(Debug, Clone, Copy)]
pub struct EndedToken {
    /// Time at which the item is due.
    pub at: Timestamp,
    /// The token's user.
    pub user: UserId,
    /// The token's id.
    pub id: TokenId,
    /// The token's hash.
    pub hash: TokenHash,
}

/// The objects of all tokens.
#[derive(Debug)]
pub struct TokenObjects(Arc<dyn ObjectStore>);

impl TokenObjects {
    /// Returns the objects of tokens in `objects`.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self(objects)
    }

    /// Reads the object at a hash.
    pub async fn state(&self, hash: &TokenHash) -> Result<Option<(TokenState, ETag)>> {
        Ok(read_json(self.0.as_ref(), &place(hash)).await?)
    }

    /// Reads the token with that hash, unless it was revoked.
    pub async fn token(&self, hash: &TokenHash) -> Result<Option<StoredToken>> {
        Ok(self.state(hash).await?.and_then(|(state, _)| match state {
            TokenState::Kept(token) => Some(token),
            TokenState::Revoked(_) => None,
        }))
    }

    /// Writes the object at a hash by compare-and-swap against `seen`, or creates it if absent; returns whether it
    /// succeeded.
    pub async fn set_state(&self, hash: &TokenHash, state: &TokenState, seen: Option<ETag>) -> Result<bool> {
        Ok(match seen {
            None => create_json(self.0.as_ref(), &place(hash), state).await?,
            Some(etag) => replace_json(self.0.as_ref(), &place(hash), state, etag).await?,
        })
    }

    /// Deletes the tombstone at a hash. Nothing replaces a tombstone, so this is safe.
    pub async fn delete_tombstone(&self, hash: &TokenHash) -> Result<()> {
        Ok(delete_json(self.0.as_ref(), &place(hash)).await?)
    }

    /// Writes the entry of a token, which always has the same content.
    pub async fn create_entry(&self, user: &UserId, id: &TokenId, hash: TokenHash) -> Result<()> {
        create_json(self.0.as_ref(), &entry(user, id), &Entry { hash }).await?;
        Ok(())
    }

    /// Reads the hash of a user's token.
    pub async fn hash(&self, user: &UserId, id: &TokenId) -> Result<Option<TokenHash>> {
        Ok(read_json::<Entry>(self.0.as_ref(), &entry(user, id)).await?.map(|(entry, _)| entry.hash))
    }

    /// Deletes a token's entry and its last use.
    pub async fn delete_entry(&self, user: &UserId, id: &TokenId) -> Result<()> {
        delete_json(self.0.as_ref(), &entry(user, id)).await?;
        Ok(delete_json(self.0.as_ref(), &last_use(user, id)).await?)
    }

    /// Lists the ids of a user's tokens, in the order of creation.
    pub async fn ids_of(&self, user: &UserId) -> Result<Vec<String>> {
        Ok(list_names(self.0.as_ref(), &format!("{TOKENS_BY_USER}{user}/")).await?)
    }

    /// Reads when a token was last used.
    pub async fn last_use(&self, user: &UserId, id: &TokenId) -> Result<Option<Timestamp>> {
        Ok(read_json::<LastUse>(self.0.as_ref(), &last_use(user, id)).await?.map(|(last, _)| last.at))
    }

    /// Writes when a token was last used.
    pub async fn write_last_use(&self, user: &UserId, id: &TokenId, at: Timestamp) -> Result<()> {
        Ok(put_unconditionally(self.0.as_ref(), &last_use(user, id), &LastUse { at }).await?)
    }

    /// Schedules the deletion of a token's remaining objects.
    pub async fn schedule(&self, ended: &EndedToken) -> Result<()> {
        Ok(put_unconditionally(self.0.as_ref(), &due_item(ended), &()).await?)
    }

    /// Deletes a due item.
    pub async fn delete_due_item(&self, ended: &EndedToken) -> Result<()> {
        Ok(delete_json(self.0.as_ref(), &due_item(ended)).await?)
    }

    /// Lists the due items after `after` whose time has come, the earliest first; at most a thousand, in one request.
    /// Returns whether more may follow.
    pub async fn due(&self, now: Timestamp, after: Option<&EndedToken>) -> Result<(Vec<EndedToken>, bool)> {
        let start_after = after.map(due_item);
        let options = ListOptions { prefix: TOKENS_DUE.to_owned(), start_after, limit: MAX_LIST_KEYS };
        let page = self.0.list(options).await?;
        let (listed, items) =
            (page.objects.len(), page.objects.iter().filter_map(|object| parse_due_item(&object.key)));
        let due: Vec<_> = items.take_while(|item| item.at <= now).collect();
        let is_all_due = due.len() == listed;
        Ok((due, page.is_truncated && is_all_due))
    }
}

fn place(hash: &TokenHash) -> String {
    format!("{TOKENS}{hash}")
}

fn entry(user: &UserId, id: &TokenId) -> String {
    format!("{TOKENS_BY_USER}{user}/{id}")
}

fn last_use(user: &UserId, id: &TokenId) -> String {
    format!("{TOKENS_LAST_USED}{user}/{id}")
}

fn due_item(EndedToken { at, user, id, hash }: &EndedToken) -> String {
    format!("{TOKENS_DUE}{:013}-{user}-{id}-{hash}", at.as_millis().clamp(0, 9_999_999_999_999))
}

fn parse_due_item(key: &str) -> Option<EndedToken> {
    let mut parts = key.strip_prefix(TOKENS_DUE)?.splitn(4, '-');
    let at = Timestamp::from_millis(parts.next()?.parse().ok()?);
    let (user, id) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let hash = TokenHash::try_from(parts.next()?.to_owned()).ok()?;
    Some(EndedToken { at, user, id, hash })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRandom;

    #[test]
    fn a_due_item_reads_back_and_items_are_in_the_order_of_time() {
        let random = SeededRandom::new(1);
        let (user, id, hash) = (UserId::generate(&random), TokenId::generate(&random), TokenHash::from_text("token"));
        let item = |millis| EndedToken { at: Timestamp::from_millis(millis), user, id, hash };
        let key = due_item(&item(1_767_225_600_000));
        let read = parse_due_item(&key).expect("it is one");
        assert_eq!((read.at.as_millis(), read.user, read.id), (1_767_225_600_000, user, id));
        assert!(read.hash.matches(&hash) && due_item(&item(5)) < key);
        assert!(parse_due_item("larder/auth/tokens-due/1-x").is_none());
    }

    #[test]
    fn a_tombstone_is_not_read_as_a_token() {
        let revocation = Revocation { revoked_at: Timestamp::from_millis(5), uptime_secs: 7 };
        let written = serde_json::to_vec(&TokenState::Revoked(revocation)).expect("it serialises");
        let read: TokenState = serde_json::from_slice(&written).expect("it is read");
        assert!(matches!(read, TokenState::Revoked(read) if read == revocation));
    }
}
