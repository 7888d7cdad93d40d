//! All tokens, in the object store: made, listed, replaced, revoked, and looked up by their hashes.
//!
//! A token stands under its hash, where one read finds it; an entry under its user and its id leads there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, Random, Timestamp},
    kv::{TokenId, UserId, names_below, read_json, remove_json, write_json},
    storage::{ObjectStore, Precondition},
};

use super::{
    caller::{Caller, Session},
    documents::Remembered,
    error::{AccountsError, Result},
    scope::Scope,
    token::{KeptToken, Token, TokenHash},
    user::User,
    users::Users,
};

/// Where tokens stand, by hash.
const TOKENS: &str = "larder/auth/tokens/";

/// Where it stands which tokens a user has.
const TOKENS_OF: &str = "larder/auth/tokens-of/";

/// Where it stands when a token was used last.
const TOKEN_USES: &str = "larder/auth/token-uses/";

/// What a token that was given from outside is called.
const GIVEN_NAME: &str = "from the environment";

/// Tokens that are read or written at the same time.
const CONCURRENCY: usize = 16;

/// A token that is to be.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// The id it is to have, where that had to be known before; a fresh one if none is given.
    pub id: Option<TokenId>,
    /// What its owner calls it.
    pub name: Option<String>,
    /// Until when it is valid.
    pub expires_at: Option<Timestamp>,
    /// What it is limited to.
    pub scope: Option<Scope>,
}

/// Where a token of a user's stands.
#[derive(Debug, Serialize, Deserialize)]
struct Pointer {
    hash: TokenHash,
}

/// When a token was used last.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastUse {
    at: Timestamp,
}

/// Why nobody was recognised.
#[derive(Debug, thiserror::Error)]
pub enum Unrecognised {
    /// The token is nobody's: it never was, or it is revoked, or its time is over, or its user is kept out.
    #[error("the token is nobody's")]
    UnknownToken,
    /// That could not be found out.
    #[error(transparent)]
    Failed(#[from] AccountsError),
}

/// The tokens that are valid.
#[derive(Debug)]
pub struct Tokens {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    users: Arc<Users>,
    /// That of the account there is from the start; it is configured or kept elsewhere.
    admin: TokenHash,
    by_hash: Remembered<[u8; 32], KeptToken>,
    /// When tokens were used last that has not been written down.
    uses: Mutex<HashMap<(UserId, TokenId), Timestamp>>,
}

impl Tokens {
    /// The tokens of `users`, and that of the admin. They are believed for `staleness` at most, or for ever where this gateway
    /// alone changes them.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        users: Arc<Users>,
        admin: &Token,
        staleness: Option<Duration>,
    ) -> Self {
        let by_hash = Remembered::new(staleness, Arc::clone(&clock));
        Self { objects, clock, random, users, admin: admin.hash(), by_hash, uses: Mutex::default() }
    }

    /// Whoever has `token`: from memory, or by one read.
    pub async fn identify(&self, token: Option<&str>) -> Result<Caller, Unrecognised> {
        let Some(token) = token else { return Ok(Caller::Anonymous) };
        let hash = TokenHash::of(token);
        if hash.is(&self.admin) {
            return Ok(Caller::User(Session { user: self.users.admin().await?, token: None, ip: None }));
        }
        // What cannot be a token is not looked up: it costs nobody but who sent it.
        if !Token::is_of_form(token) {
            return Err(Unrecognised::UnknownToken);
        }
        let now = self.clock.now();
        let kept = self.by_hash(&hash).await?;
        let kept = kept.filter(|kept| kept.hash.is(&hash) && kept.is_valid(now)).ok_or(Unrecognised::UnknownToken)?;
        let user = self.users.by_id(&kept.user_id).await?.filter(|user| !user.is_disabled);
        let user = user.ok_or(Unrecognised::UnknownToken)?;
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).insert((user.id, kept.id), now);
        Ok(Caller::User(Session { user, token: Some(kept), ip: None }))
    }

    /// Returns whether `token` is one that this gateway knows from memory, so that identifying it costs at most one read in each
    /// staleness bound, or none at all because it cannot be a token.
    pub fn recalls(&self, token: &str) -> bool {
        let hash = TokenHash::of(token);
        hash.is(&self.admin) || !Token::is_of_form(token) || self.by_hash.holds(&hash.bytes())
    }

    /// An id for a token that is about to be made.
    pub fn new_id(&self) -> TokenId {
        TokenId::generate(self.random.as_ref())
    }

    /// Makes a token; this is the only time that it is seen.
    pub async fn create(&self, user: &User, new: NewToken) -> Result<(Arc<KeptToken>, Token)> {
        let NewToken { id, name, expires_at, scope } = new;
        let (id, token) = (id.unwrap_or_else(|| self.new_id()), Token::generate(self.random.as_ref()));
        let (hash, user_id, created_at) = (token.hash(), user.id, self.clock.now());
        let kept = KeptToken { id, hash, user_id, name, created_at, expires_at, scope };
        // The entry first: a token that is valid and not listed could not be revoked.
        write_json(self.objects.as_ref(), &entry(&user.id, &id), &Pointer { hash }, Precondition::None).await?;
        self.keep(&kept).await?;
        Ok((Arc::new(kept), token))
    }

    /// Makes a token that was given from outside valid for `user`, and the one that was given for him before invalid. Doing it
    /// again, or on several gateways at once, changes nothing.
    pub async fn accept_given(&self, user: &User, token: &Token) -> Result<()> {
        let (objects, hash) = (self.objects.as_ref(), token.hash());
        let id = given_id(&hash).ok_or(AccountsError::TokenTaken)?;
        let before = read_json::<KeptToken>(objects, &place(&hash)).await?.map(|(kept, _)| kept);
        if hash.is(&self.admin) || before.as_ref().is_some_and(|kept| kept.id != id) {
            return Err(AccountsError::TokenTaken);
        }
        let is_in_force =
            |kept: &KeptToken| kept.user_id == user.id && kept.expires_at.is_none() && kept.scope.is_none();
        // The entry in any case: it may have gone with a revocation that went no further.
        write_json(objects, &entry(&user.id, &id), &Pointer { hash }, Precondition::None).await?;
        if !before.as_ref().is_some_and(is_in_force) {
            let (name, created_at) = (Some(GIVEN_NAME.to_owned()), self.clock.now());
            let kept = KeptToken { id, hash, user_id: user.id, name, created_at, expires_at: None, scope: None };
            self.keep(&kept).await?;
        }
        if let Some(other) = before.filter(|kept| kept.user_id != user.id) {
            remove_json(objects, &entry(&other.user_id, &id)).await?;
        }
        for (earlier, _) in self.list(&user.id).await? {
            if earlier.id == id || given_id(&earlier.hash) != Some(earlier.id) {
                continue;
            }
            match self.revoke(&user.id, &earlier.id).await {
                // Another gateway was faster.
                Ok(()) | Err(AccountsError::TokenNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A user's tokens in the order of their making, each with its last use as far as that is written down.
    pub async fn list(&self, user: &UserId) -> Result<Vec<(Arc<KeptToken>, Option<Timestamp>)>> {
        let ids = names_below(self.objects.as_ref(), &format!("{TOKENS_OF}{user}/")).await?;
        let ids = ids.into_iter().filter_map(|id| id.parse::<TokenId>().ok());
        let tokens = stream::iter(ids)
            .map(async |id| {
                let Some(token) = self.find(user, &id).await? else { return Ok::<_, AccountsError>(None) };
                Ok(Some((token, self.last_use(user, &id).await?)))
            })
            .buffered(CONCURRENCY);
        let mut tokens: Vec<_> = tokens.try_filter_map(async |token| Ok(token)).try_collect().await?;
        tokens.sort_by_key(|(token, _)| token.created_at);
        Ok(tokens)
    }

    /// One of a user's tokens.
    pub async fn get(&self, user: &UserId, id: &TokenId) -> Result<Arc<KeptToken>> {
        self.find(user, id).await?.ok_or(AccountsError::TokenNotFound)
    }

    /// Makes a token like another one, which stays valid for `overlap` from now on, or less if it would have ended before.
    pub async fn replace(&self, user: &User, id: &TokenId, overlap: Duration) -> Result<(Arc<KeptToken>, Token)> {
        let old = self.get(&user.id, id).await?;
        let KeptToken { name, expires_at, scope, .. } = (*old).clone();
        let replaced = self.create(user, NewToken { id: None, name, expires_at, scope }).await?;
        let end = self.clock.now().plus(overlap);
        let end = expires_at.map_or(end, |before| before.min(end));
        self.keep(&KeptToken { expires_at: Some(end), ..(*old).clone() }).await?;
        Ok(replaced)
    }

    /// Makes a token invalid, here at once.
    pub async fn revoke(&self, user: &UserId, id: &TokenId) -> Result<()> {
        let token = self.get(user, id).await?;
        remove_json(self.objects.as_ref(), &place(&token.hash)).await?;
        self.by_hash.forget(token.hash.bytes());
        remove_json(self.objects.as_ref(), &entry(user, id)).await?;
        Ok(remove_json(self.objects.as_ref(), &last_use(user, id)).await?)
    }

    /// Writes down when tokens were used last; how many. They are told again if that fails.
    pub async fn flush_uses(&self) -> Result<usize> {
        let uses = std::mem::take(&mut *self.uses.lock().unwrap_or_else(PoisonError::into_inner));
        let written = stream::iter(uses)
            .map(async |((user, id), at)| {
                let written =
                    write_json(self.objects.as_ref(), &last_use(&user, &id), &LastUse { at }, Precondition::None).await;
                if written.is_err() {
                    self.uses.lock().unwrap_or_else(PoisonError::into_inner).entry((user, id)).or_insert(at);
                }
                written
            })
            .buffer_unordered(CONCURRENCY);
        Ok(written.try_fold(0, async |count, _| Ok(count + 1)).await?)
    }

    /// Believes nothing any more that was read before now: another gateway has changed tokens on this one's behalf.
    pub fn outdate(&self) {
        self.by_hash.forget_all();
    }

    async fn find(&self, user: &UserId, id: &TokenId) -> Result<Option<Arc<KeptToken>>> {
        let Some((pointer, _)) = read_json::<Pointer>(self.objects.as_ref(), &entry(user, id)).await? else {
            return Ok(None);
        };
        Ok(self.by_hash(&pointer.hash).await?.filter(|token| token.id == *id && token.user_id == *user))
    }

    async fn by_hash(&self, hash: &TokenHash) -> Result<Option<Arc<KeptToken>>> {
        let kept = async { Ok(read_json(self.objects.as_ref(), &place(hash)).await?.map(|(kept, _)| kept)) };
        self.by_hash.get(hash.bytes(), kept).await
    }

    async fn keep(&self, token: &KeptToken) -> Result<()> {
        write_json(self.objects.as_ref(), &place(&token.hash), token, Precondition::None).await?;
        self.by_hash.forget(token.hash.bytes());
        Ok(())
    }

    async fn last_use(&self, user: &UserId, id: &TokenId) -> Result<Option<Timestamp>> {
        let unwritten = self.uses.lock().unwrap_or_else(PoisonError::into_inner).get(&(*user, *id)).copied();
        let written = read_json::<LastUse>(self.objects.as_ref(), &last_use(user, id)).await?.map(|(last, _)| last.at);
        Ok(unwritten.max(written))
    }
}

/// The id of a token that was given from outside. It follows from its hash, which tells such tokens from all others, whatever
/// those are called, and makes one of it on however many gateways it is given.
fn given_id(hash: &TokenHash) -> Option<TokenId> {
    let derived = TokenHash::of(&format!("{GIVEN_NAME}: {hash}")).to_string();
    derived.get(..TokenId::LENGTH)?.parse().ok()
}

fn place(hash: &TokenHash) -> String {
    format!("{TOKENS}{hash}")
}

fn entry(user: &UserId, id: &TokenId) -> String {
    format!("{TOKENS_OF}{user}/{id}")
}

fn last_use(user: &UserId, id: &TokenId) -> String {
    format!("{TOKEN_USES}{user}/{id}")
}
