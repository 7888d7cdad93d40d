//! Repository of tokens in the object store: create, list, replace, revoke, and look up by hash.
//!
//! It also deletes the objects of ended tokens, and records the last use of each token: gathered in memory, and
//! written periodically.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use crate::{
    clock::{Clock, ClockGuard, Random, Timestamp},
    kv::{RunId, TokenId, UserId},
    storage::ObjectStore,
};

use super::{
    access::{Caller, Session},
    token::{Scope, StoredToken, Token, TokenHash},
    token_objects::{EndedToken, MAX_REQUEST_DURATION, Revocation, TokenObjects, TokenState},
    ttl_cache::TtlCache,
    user::{AccountsError, Result, User},
    user_repository::{Page, PageQuery, UserRepository},
};

/// Name of a token that was given from outside.
const GIVEN_NAME: &str = "from the environment";

/// Maximum number of tokens read or written concurrently.
pub(super) const CONCURRENCY: usize = 16;

/// Maximum number of attempts of a change under contention.
pub(super) const MAX_ATTEMPTS: usize = 8;

/// Description of a token to create.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// The token's id, if it had to be known before; a fresh one if `None`.
    pub id: Option<TokenId>,
    /// The name that its owner gives it.
    pub name: Option<String>,
    /// Time of expiry.
    pub expires_at: Option<Timestamp>,
    /// The token's scope.
    pub scope: Option<Scope>,
    /// The run that the token belongs to, and ends with.
    pub run: Option<RunId>,
}

/// Use of a token that is not written yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingUse {
    pub(super) user: UserId,
    pub(super) id: TokenId,
    pub(super) hash: TokenHash,
    pub(super) at: Timestamp,
}

/// Reason for not identifying a caller.
#[derive(Debug, thiserror::Error)]
pub enum Unrecognised {
    /// The token is invalid: unknown, revoked, expired, or of a disabled user.
    #[error("the token is invalid")]
    InvalidToken,
    /// The look-up failed.
    #[error(transparent)]
    Failed(#[from] AccountsError),
}

/// Repository of valid tokens.
#[derive(Debug)]
pub struct TokenRepository {
    pub(super) objects: TokenObjects,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) guard: Arc<ClockGuard>,
    random: Arc<dyn Random>,
    users: Arc<UserRepository>,
    /// Hash of the initial admin's token, which is configured or stored elsewhere.
    admin: TokenHash,
    pub(super) by_hash: TtlCache<[u8; 32], StoredToken>,
    /// Uses of tokens that are not written yet, by hash.
    pub(super) uses: Mutex<HashMap<[u8; 32], PendingUse>>,
}

impl TokenRepository {
    /// Returns the tokens of `users`, and that of the admin. Cached tokens are trusted for `staleness` at most, or for
    /// ever where this gateway alone changes them.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        users: Arc<UserRepository>,
        admin: &Token,
        staleness: Option<Duration>,
    ) -> Self {
        let by_hash = TtlCache::new(staleness, Arc::clone(&clock));
        let (objects, guard) = (TokenObjects::new(objects), Arc::new(ClockGuard::trusting(Arc::clone(&clock))));
        Self { objects, clock, guard, random, users, admin: admin.hash(), by_hash, uses: Mutex::default() }
    }

    /// Returns the same tokens; `guard` must allow every deletion by time.
    #[must_use]
    pub fn guarded_by(self, guard: Arc<ClockGuard>) -> Self {
        Self { guard, ..self }
    }

    /// Identifies the caller by `token`, from the cache or by one read.
    pub async fn identify(&self, token: Option<&str>) -> Result<Caller, Unrecognised> {
        let Some(token) = token else { return Ok(Caller::Anonymous) };
        let hash = TokenHash::from_text(token);
        if hash.matches(&self.admin) {
            return Ok(Caller::User(Session { user: self.users.admin().await?, token: None, ip: None }));
        }
        // A text that cannot be a token is not looked up, so it costs only its sender.
        if !Token::is_well_formed(token) {
            return Err(Unrecognised::InvalidToken);
        }
        let now = self.clock.now();
        let kept = self.by_hash(&hash).await?;
        let kept =
            kept.filter(|kept| kept.hash.matches(&hash) && kept.is_valid(now)).ok_or(Unrecognised::InvalidToken)?;
        let user = self.users.by_id(&kept.user_id).await?.filter(|user| !user.is_disabled);
        let user = user.ok_or(Unrecognised::InvalidToken)?;
        let last = PendingUse { user: user.id, id: kept.id, hash, at: now };
        self.uses.lock().insert(hash.bytes(), last);
        Ok(Caller::User(Session { user, token: Some(kept), ip: None }))
    }

    /// Returns whether the cache has `token`, or the text cannot be a token. Identifying it then costs at most one read
    /// per staleness bound, or none at all.
    pub fn is_cached(&self, token: &str) -> bool {
        let hash = TokenHash::from_text(token);
        hash.matches(&self.admin) || !Token::is_well_formed(token) || self.by_hash.contains(&hash.bytes())
    }

    /// Returns an id for a token that is about to be created.
    pub fn new_id(&self) -> TokenId {
        TokenId::generate_at(self.clock.now(), self.random.as_ref())
    }

    /// Creates a token. Its secret is visible only here.
    pub async fn create(&self, user: &User, new: NewToken) -> Result<(Arc<StoredToken>, Token)> {
        let NewToken { id, name, expires_at, scope, run } = new;
        let (id, token) = (id.unwrap_or_else(|| self.new_id()), Token::generate(self.random.as_ref()));
        let (hash, user_id, created_at) = (token.hash(), user.id, self.clock.now());
        let kept = StoredToken { id, hash, user_id, name, created_at, expires_at, scope, run };
        if let Some(end) = expires_at {
            self.schedule_end(&kept, end).await?;
        }
        // The entry first: a valid token that is not listed could not be revoked.
        self.objects.create_entry(&user.id, &id, hash).await?;
        let is_created = self.objects.set_state(&hash, &TokenState::Kept(kept.clone()), None).await;
        self.by_hash.invalidate(hash.bytes());
        // An object at a fresh hash is from an earlier attempt of this very write, or a revocation that came first.
        if !is_created? && self.objects.token(&hash).await?.is_none_or(|found| found.id != id) {
            return Err(AccountsError::TokenNotFound);
        }
        Ok((Arc::new(kept), token))
    }

    /// Makes a token that was given from outside valid for `user`, and the one that was given before invalid.
    /// Idempotent, also on several gateways at once.
    pub async fn accept_given(&self, user: &User, token: &Token) -> Result<()> {
        let hash = token.hash();
        let id = given_id(&hash).ok_or(AccountsError::TokenTaken)?;
        if hash.matches(&self.admin) {
            return Err(AccountsError::TokenTaken);
        }
        self.objects.create_entry(&user.id, &id, hash).await?;
        let before = self.store_given(user, hash, id).await?;
        // Again: a revocation in progress may have deleted it.
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

    /// Puts a given token at its hash, also in place of a tombstone; returns the previous one.
    async fn store_given(&self, user: &User, hash: TokenHash, id: TokenId) -> Result<Option<StoredToken>> {
        let is_in_force =
            |kept: &StoredToken| kept.user_id == user.id && kept.expires_at.is_none() && kept.scope.is_none();
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
                StoredToken { id, hash, user_id: user.id, name, created_at, expires_at: None, scope: None, run: None };
            let is_written = self.objects.set_state(&hash, &TokenState::Kept(kept), etag).await;
            self.by_hash.invalidate(hash.bytes());
            if is_written? {
                return Ok(before);
            }
        }
        Err(AccountsError::Contended)
    }

    /// Returns a page of a user's tokens in the order of creation, each with its last use as far as that is written.
    /// Lists the entries of all tokens, a thousand per request, and reads only the documents of the page.
    pub async fn list(&self, user: &UserId, page: &PageQuery) -> Result<Page<(Arc<StoredToken>, Option<Timestamp>)>> {
        let (total, ids) = page.select(self.objects.ids_of(user).await?);
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
    pub async fn get(&self, user: &UserId, id: &TokenId) -> Result<Arc<StoredToken>> {
        self.find(user, id).await?.ok_or(AccountsError::TokenNotFound)
    }

    /// Creates a token like another one, which stays valid for `overlap` from now on, or until its own expiry if that
    /// is sooner. The new one has `new_id`, or a fresh id. If the old one is revoked meanwhile, the new one is revoked,
    /// too.
    pub async fn replace(
        &self,
        user: &User,
        id: &TokenId,
        new_id: Option<TokenId>,
        overlap: Duration,
    ) -> Result<(Arc<StoredToken>, Token)> {
        let hash = self.objects.hash(&user.id, id).await?.ok_or(AccountsError::TokenNotFound)?;
        let old = self.objects.token(&hash).await?.filter(|old| old.id == *id && old.user_id == user.id);
        let StoredToken { name, expires_at, scope, run, .. } = old.ok_or(AccountsError::TokenNotFound)?;
        let replaced = self.create(user, NewToken { id: new_id, name, expires_at, scope, run }).await?;
        match self.end_at(&hash, self.clock.now().plus(overlap)).await {
            Ok(()) => Ok(replaced),
            Err(error) => {
                self.revoke(&user.id, &replaced.0.id).await?;
                Err(error)
            }
        }
    }

    /// Sets a token's expiry to `end`, unless it expires before.
    async fn end_at(&self, hash: &TokenHash, end: Timestamp) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            let Some((TokenState::Kept(old), etag)) = self.objects.state(hash).await? else {
                return Err(AccountsError::TokenNotFound);
            };
            if old.expires_at.is_some_and(|before| before <= end) {
                return Ok(());
            }
            self.schedule_end(&old, end).await?;
            let shortened = TokenState::Kept(StoredToken { expires_at: Some(end), ..old });
            let is_written = self.objects.set_state(hash, &shortened, Some(etag)).await;
            self.by_hash.invalidate(hash.bytes());
            if is_written? {
                return Ok(());
            }
        }
        Err(AccountsError::Contended)
    }

    /// Revokes a token permanently: at once on this gateway, within the staleness bound on others.
    pub async fn revoke(&self, user: &UserId, id: &TokenId) -> Result<()> {
        let Some(hash) = self.objects.hash(user, id).await? else {
            // Another gateway has revoked the token, and this one may still have it in its cache.
            self.by_hash.invalidate_where(|token| token.id == *id && token.user_id == *user);
            return Err(AccountsError::TokenNotFound);
        };
        self.write_tombstone(user, id, &hash).await
    }

    /// Invalidates everything read before now: another gateway has changed tokens on behalf of this one.
    pub fn invalidate(&self) {
        self.by_hash.invalidate_all();
    }

    async fn find(&self, user: &UserId, id: &TokenId) -> Result<Option<Arc<StoredToken>>> {
        let Some(hash) = self.objects.hash(user, id).await? else { return Ok(None) };
        Ok(self.by_hash(&hash).await?.filter(|token| token.id == *id && token.user_id == *user))
    }

    pub(super) async fn by_hash(&self, hash: &TokenHash) -> Result<Option<Arc<StoredToken>>> {
        self.by_hash.get(hash.bytes(), self.objects.token(hash)).await
    }

    async fn last_use(&self, token: &StoredToken) -> Result<Option<Timestamp>> {
        let unwritten = self.uses.lock().get(&token.hash.bytes()).copied();
        let written = self.objects.last_use(&token.user_id, &token.id).await?;
        Ok(unwritten.map(|used| used.at).max(written))
    }
}

/// Returns the id of a token that was given from outside. The id is derived from the hash. That distinguishes such
/// tokens from all others, whatever their names, and gives the same token the same id on every gateway.
pub(super) fn given_id(hash: &TokenHash) -> Option<TokenId> {
    let derived = TokenHash::from_text(&format!("{GIVEN_NAME}: {hash}")).to_string();
    derived.get(..TokenId::LENGTH)?.parse().ok()
}

/// Time for which an expired token is still listed.
const LISTED_AFTER_END: Duration = Duration::from_hours(24);

impl TokenRepository {
    /// Replaces a token of this user and id by a tombstone, or one that is being created, and deletes the objects that
    /// lead to it.
    pub(super) async fn write_tombstone(&self, user: &UserId, id: &TokenId, hash: &TokenHash) -> Result<()> {
        let now = self.clock.now();
        let at = now.plus(MAX_REQUEST_DURATION);
        self.objects.schedule(&EndedToken { at, user: *user, id: *id, hash: *hash }).await?;
        let revocation = Revocation { revoked_at: now, uptime_secs: self.guard.uptime().as_secs() };
        for _ in 0..MAX_ATTEMPTS {
            let etag = match self.objects.state(hash).await? {
                None => None,
                Some((TokenState::Kept(kept), etag)) if kept.id == *id && kept.user_id == *user => Some(etag),
                // The entry leads to a token that now belongs to another user.
                Some((TokenState::Kept(_), _)) => return Err(AccountsError::TokenNotFound),
                Some((TokenState::Revoked(_), _)) => return self.delete_token_objects(user, id, hash).await,
            };
            let is_written = self.objects.set_state(hash, &TokenState::Revoked(revocation), etag).await;
            // Also after a failure: the write may have happened.
            self.by_hash.invalidate(hash.bytes());
            if is_written? {
                return self.delete_token_objects(user, id, hash).await;
            }
        }
        Err(AccountsError::Contended)
    }

    async fn delete_token_objects(&self, user: &UserId, id: &TokenId, hash: &TokenHash) -> Result<()> {
        self.by_hash.invalidate(hash.bytes());
        self.uses.lock().remove(&hash.bytes());
        self.objects.delete_entry(user, id).await
    }

    /// Schedules the deletion of a token some time after it expires at `end`.
    pub(super) async fn schedule_end(&self, token: &StoredToken, end: Timestamp) -> Result<()> {
        let StoredToken { id, hash, user_id: user, .. } = *token;
        self.objects.schedule(&EndedToken { at: end.plus(LISTED_AFTER_END), user, id, hash }).await
    }

    /// Deletes tokens that expired a day ago or earlier, and the objects of those that were revoked an hour ago or
    /// earlier. Returns the number of due items processed. Deletes nothing while the clock is not trusted. A failure
    /// for one token does not delay the others.
    pub async fn delete_ended(&self) -> Result<usize> {
        let (mut after, mut done, mut failure) = (None, 0, None);
        loop {
            let Some(now) = self.guard.deletion_time() else { return Ok(done) };
            let (due, has_more) = self.objects.due(now, after.as_ref()).await?;
            after = due.last().copied();
            let worked_on = stream::iter(due).map(|ended| self.delete_one(ended, now)).buffer_unordered(CONCURRENCY);
            for is_done in worked_on.collect::<Vec<_>>().await {
                match is_done {
                    Ok(is_done) => done += usize::from(is_done),
                    Err(error) => failure = Some(error),
                }
            }
            if !has_more {
                return failure.map_or(Ok(done), Err);
            }
        }
    }

    /// Processes the due item of one token; returns whether the item is done.
    async fn delete_one(&self, ended: EndedToken, now: Timestamp) -> Result<bool> {
        let EndedToken { user, id, hash, .. } = &ended;
        match self.objects.state(hash).await? {
            Some((TokenState::Kept(kept), _)) if kept.id == *id => {
                let Some(end) = kept.expires_at else {
                    // The token was given from outside again.
                    self.objects.delete_due_item(&ended).await?;
                    return Ok(true);
                };
                if end.plus(LISTED_AFTER_END) > now {
                    return Ok(false);
                }
                self.write_tombstone(&kept.user_id, id, hash).await?;
            }
            Some((TokenState::Kept(_), _)) => {}
            Some((TokenState::Revoked(revocation), _)) => {
                let uptime = self.guard.uptime().saturating_sub(Duration::from_secs(revocation.uptime_secs));
                if now.since(revocation.revoked_at) < MAX_REQUEST_DURATION || uptime < MAX_REQUEST_DURATION {
                    return Ok(false);
                }
                // A token from outside may be given again at any time: its tombstone stays, so that no deletion races
                // with the new token.
                if given_id(hash) != Some(*id) {
                    self.objects.delete_entry(user, id).await?;
                    self.objects.delete_tombstone(hash).await?;
                }
            }
            None => self.objects.delete_entry(user, id).await?,
        }
        self.objects.delete_due_item(&ended).await?;
        Ok(true)
    }
}

impl TokenRepository {
    /// Writes the last uses of tokens, and returns their number. Skips revoked tokens. Keeps failed ones for the next
    /// call.
    pub async fn flush_uses(&self) -> Result<usize> {
        let uses = std::mem::take(&mut *self.uses.lock());
        let written = stream::iter(uses.into_values()).map(|used| self.write_use(used)).buffer_unordered(CONCURRENCY);
        let written: Vec<Result<bool>> = written.collect().await;
        written.into_iter().try_fold(0, |count, is_written| Ok(count + usize::from(is_written?)))
    }

    /// Writes one last use, unless the token is revoked; returns whether it was written.
    async fn write_use(&self, used: PendingUse) -> Result<bool> {
        let written = async {
            if self.by_hash(&used.hash).await?.is_none() {
                return Ok(false);
            }
            self.objects.write_last_use(&used.user, &used.id, used.at).await.map(|()| true)
        };
        let written = written.await;
        if written.is_err() {
            self.uses.lock().entry(used.hash.bytes()).or_insert(used);
        }
        written
    }
}
