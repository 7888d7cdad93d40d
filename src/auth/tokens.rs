//! All tokens, in the object store: made, listed, replaced, revoked, and looked up by their hashes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    clock::{Clock, ClockGuard, Random, Timestamp},
    kv::{RunId, TokenId, UserId},
    storage::ObjectStore,
};

use super::{
    caller::{Caller, Session},
    documents::Remembered,
    error::{AccountsError, Result},
    page::{Page, PageQuery},
    scope::Scope,
    token::{KeptToken, Token, TokenHash},
    token_objects::{TokenObjects, TokenState},
    user::User,
    users::Users,
};

/// What a token that was given from outside is called.
const GIVEN_NAME: &str = "from the environment";

/// Tokens that are read or written at the same time.
pub(super) const CONCURRENCY: usize = 16;

/// How often a change is tried again that others get in the way of.
pub(super) const MAX_ATTEMPTS: usize = 8;

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
    /// The run that it is made for, and that it ends with.
    pub run: Option<RunId>,
}

/// The use of a token that is not written down yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) user: UserId,
    pub(super) id: TokenId,
    pub(super) hash: TokenHash,
    pub(super) at: Timestamp,
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
    pub(super) objects: TokenObjects,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) guard: Arc<ClockGuard>,
    random: Arc<dyn Random>,
    users: Arc<Users>,
    /// That of the account there is from the start; it is configured or kept elsewhere.
    admin: TokenHash,
    pub(super) by_hash: Remembered<[u8; 32], KeptToken>,
    /// Uses of tokens that are not written down yet, by hash.
    pub(super) uses: Mutex<HashMap<[u8; 32], Use>>,
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
        let (objects, guard) = (TokenObjects::new(objects), Arc::new(ClockGuard::trusting(Arc::clone(&clock))));
        Self { objects, clock, guard, random, users, admin: admin.hash(), by_hash, uses: Mutex::default() }
    }

    /// Returns the same tokens, of which nothing is deleted by time unless `guard` allows it.
    #[must_use]
    pub fn guarded_by(self, guard: Arc<ClockGuard>) -> Self {
        Self { guard, ..self }
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
        let last = Use { user: user.id, id: kept.id, hash, at: now };
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).insert(hash.bytes(), last);
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
        TokenId::made_at(self.clock.now(), self.random.as_ref())
    }

    /// Makes a token; this is the only time that it is seen.
    pub async fn create(&self, user: &User, new: NewToken) -> Result<(Arc<KeptToken>, Token)> {
        let NewToken { id, name, expires_at, scope, run } = new;
        let (id, token) = (id.unwrap_or_else(|| self.new_id()), Token::generate(self.random.as_ref()));
        let (hash, user_id, created_at) = (token.hash(), user.id, self.clock.now());
        let kept = KeptToken { id, hash, user_id, name, created_at, expires_at, scope, run };
        if let Some(end) = expires_at {
            self.schedule_end(&kept, end).await?;
        }
        // The entry first: a token that is valid and not listed could not be revoked.
        self.objects.create_entry(&user.id, &id, hash).await?;
        let is_created = self.objects.set_state(&hash, &TokenState::Kept(kept.clone()), None).await;
        self.by_hash.forget(hash.bytes());
        // In the way of a fresh hash is an earlier try of this very write, or a revocation that came first.
        if !is_created? && self.objects.token(&hash).await?.is_none_or(|found| found.id != id) {
            return Err(AccountsError::TokenNotFound);
        }
        Ok((Arc::new(kept), token))
    }

    /// Makes a token that was given from outside valid for `user`, and the one that was given for him before invalid. Doing it
    /// again, or on several gateways at once, changes nothing.
    pub async fn accept_given(&self, user: &User, token: &Token) -> Result<()> {
        let hash = token.hash();
        let id = given_id(&hash).ok_or(AccountsError::TokenTaken)?;
        if hash.is(&self.admin) {
            return Err(AccountsError::TokenTaken);
        }
        self.objects.create_entry(&user.id, &id, hash).await?;
        let before = self.keep_given(user, hash, id).await?;
        // Once more: it may have gone with a revocation that was still under way.
        self.objects.create_entry(&user.id, &id, hash).await?;
        if let Some(other) = before.filter(|kept| kept.user_id != user.id) {
            self.objects.delete_entry(&other.user_id, &id).await?;
        }
        for earlier in self.objects.ids_of(&user.id).await? {
            let Ok(earlier) = earlier.parse::<TokenId>() else { continue };
            let Some(hash) = self.objects.hash(&user.id, &earlier).await? else { continue };
            if earlier == id || given_id(&hash) != Some(earlier) {
                continue;
            }
            match self.revoke(&user.id, &earlier).await {
                // Another gateway was faster.
                Ok(()) | Err(AccountsError::TokenNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts a given token at its hash, also in place of a tombstone; returns what was there.
    async fn keep_given(&self, user: &User, hash: TokenHash, id: TokenId) -> Result<Option<KeptToken>> {
        let is_in_force =
            |kept: &KeptToken| kept.user_id == user.id && kept.expires_at.is_none() && kept.scope.is_none();
        for _ in 0..MAX_ATTEMPTS {
            let (before, etag) = match self.objects.state(&hash).await? {
                Some((TokenState::Kept(kept), _)) if kept.id != id => return Err(AccountsError::TokenTaken),
                Some((TokenState::Kept(kept), _)) if is_in_force(&kept) => return Ok(Some(kept)),
                Some((TokenState::Kept(kept), etag)) => (Some(kept), Some(etag)),
                Some((TokenState::Revoked(_), etag)) => (None, Some(etag)),
                None => (None, None),
            };
            let (name, created_at) = (Some(GIVEN_NAME.to_owned()), self.clock.now());
            let kept =
                KeptToken { id, hash, user_id: user.id, name, created_at, expires_at: None, scope: None, run: None };
            let is_written = self.objects.set_state(&hash, &TokenState::Kept(kept), etag).await;
            self.by_hash.forget(hash.bytes());
            if is_written? {
                return Ok(before);
            }
        }
        Err(AccountsError::Contended)
    }

    /// Returns a page of a user's tokens in the order of their making, each with its last use as far as that is written down.
    /// Lists the entries of all, a thousand by one call, and reads the documents of the page alone.
    pub async fn list(&self, user: &UserId, page: &PageQuery) -> Result<Page<(Arc<KeptToken>, Option<Timestamp>)>> {
        let (total, ids) = page.of(self.objects.ids_of(user).await?);
        let ids = ids.into_iter().filter_map(|id| id.parse::<TokenId>().ok());
        let tokens = stream::iter(ids)
            .map(async |id| {
                let Some(token) = self.find(user, &id).await? else { return Ok::<_, AccountsError>(None) };
                let last_use = self.last_use(&token).await?;
                Ok(Some((token, last_use)))
            })
            .buffered(CONCURRENCY);
        Ok(Page { total, items: tokens.try_filter_map(async |token| Ok(token)).try_collect().await? })
    }

    /// Returns one of a user's tokens.
    pub async fn get(&self, user: &UserId, id: &TokenId) -> Result<Arc<KeptToken>> {
        self.find(user, id).await?.ok_or(AccountsError::TokenNotFound)
    }

    /// Makes a token like another one, which stays valid for `overlap` from now on, or less if it would have ended before. The
    /// new one has `new_id`, or a fresh id. Where the old one is revoked meanwhile, the new one is revoked, too.
    pub async fn replace(
        &self,
        user: &User,
        id: &TokenId,
        new_id: Option<TokenId>,
        overlap: Duration,
    ) -> Result<(Arc<KeptToken>, Token)> {
        let hash = self.objects.hash(&user.id, id).await?.ok_or(AccountsError::TokenNotFound)?;
        let old = self.objects.token(&hash).await?.filter(|old| old.id == *id && old.user_id == user.id);
        let KeptToken { name, expires_at, scope, run, .. } = old.ok_or(AccountsError::TokenNotFound)?;
        let replaced = self.create(user, NewToken { id: new_id, name, expires_at, scope, run }).await?;
        match self.end_at(&hash, self.clock.now().plus(overlap)).await {
            Ok(()) => Ok(replaced),
            Err(error) => {
                self.revoke(&user.id, &replaced.0.id).await?;
                Err(error)
            }
        }
    }

    /// Has a token expire at `end`, unless it does before.
    async fn end_at(&self, hash: &TokenHash, end: Timestamp) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            let Some((TokenState::Kept(old), etag)) = self.objects.state(hash).await? else {
                return Err(AccountsError::TokenNotFound);
            };
            if old.expires_at.is_some_and(|before| before <= end) {
                return Ok(());
            }
            self.schedule_end(&old, end).await?;
            let shortened = TokenState::Kept(KeptToken { expires_at: Some(end), ..old });
            let is_written = self.objects.set_state(hash, &shortened, Some(etag)).await;
            self.by_hash.forget(hash.bytes());
            if is_written? {
                return Ok(());
            }
        }
        Err(AccountsError::Contended)
    }

    /// Makes a token invalid: here at once, on other gateways within the staleness bound, and for ever.
    pub async fn revoke(&self, user: &UserId, id: &TokenId) -> Result<()> {
        let Some(hash) = self.objects.hash(user, id).await? else {
            // Another gateway has revoked it, and this one may still believe in it.
            self.by_hash.forget_where(|token| token.id == *id && token.user_id == *user);
            return Err(AccountsError::TokenNotFound);
        };
        self.bury(user, id, &hash).await
    }

    /// Believes nothing any more that was read before now: another gateway has changed tokens on this one's behalf.
    pub fn outdate(&self) {
        self.by_hash.forget_all();
    }

    async fn find(&self, user: &UserId, id: &TokenId) -> Result<Option<Arc<KeptToken>>> {
        let Some(hash) = self.objects.hash(user, id).await? else { return Ok(None) };
        Ok(self.by_hash(&hash).await?.filter(|token| token.id == *id && token.user_id == *user))
    }

    pub(super) async fn by_hash(&self, hash: &TokenHash) -> Result<Option<Arc<KeptToken>>> {
        self.by_hash.get(hash.bytes(), self.objects.token(hash)).await
    }

    async fn last_use(&self, token: &KeptToken) -> Result<Option<Timestamp>> {
        let unwritten = self.uses.lock().unwrap_or_else(PoisonError::into_inner).get(&token.hash.bytes()).copied();
        let written = self.objects.last_use(&token.user_id, &token.id).await?;
        Ok(unwritten.map(|used| used.at).max(written))
    }
}

/// The id of a token that was given from outside. It follows from its hash, which tells such tokens from all others, whatever
/// those are called, and makes one of it on however many gateways it is given.
pub(super) fn given_id(hash: &TokenHash) -> Option<TokenId> {
    let derived = TokenHash::of(&format!("{GIVEN_NAME}: {hash}")).to_string();
    derived.get(..TokenId::LENGTH)?.parse().ok()
}
