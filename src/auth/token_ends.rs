//! Revocation and expiry of tokens, and deletion of their objects afterwards.

use std::{sync::PoisonError, time::Duration};

use futures_util::{StreamExt, stream};

use crate::{
    clock::Timestamp,
    kv::{TokenId, UserId},
};

use super::{
    error::{AccountsError, Result},
    token::{KeptToken, TokenHash},
    token_objects::{EndedToken, LONGEST_REQUEST, Revocation, TokenState},
    tokens::{CONCURRENCY, MAX_ATTEMPTS, Tokens, given_id},
};

/// Time for which an expired token is still listed.
const LISTED_AFTER_END: Duration = Duration::from_hours(24);

impl Tokens {
    /// Replaces a token of this user and id by a tombstone, or one that is being created, and deletes the objects that
    /// lead to it.
    pub(super) async fn bury(&self, user: &UserId, id: &TokenId, hash: &TokenHash) -> Result<()> {
        let now = self.clock.now();
        let at = now.plus(LONGEST_REQUEST);
        self.objects.schedule(&EndedToken { at, user: *user, id: *id, hash: *hash }).await?;
        let revocation = Revocation { revoked_at: now, uptime_secs: self.guard.uptime().as_secs() };
        for _ in 0..MAX_ATTEMPTS {
            let etag = match self.objects.state(hash).await? {
                None => None,
                Some((TokenState::Kept(kept), etag)) if kept.id == *id && kept.user_id == *user => Some(etag),
                // The entry leads to a token that now belongs to another user.
                Some((TokenState::Kept(_), _)) => return Err(AccountsError::TokenNotFound),
                Some((TokenState::Revoked(_), _)) => return self.forget_token(user, id, hash).await,
            };
            let is_written = self.objects.set_state(hash, &TokenState::Revoked(revocation), etag).await;
            // Also after a failure: the write may have happened.
            self.by_hash.forget(hash.bytes());
            if is_written? {
                return self.forget_token(user, id, hash).await;
            }
        }
        Err(AccountsError::Contended)
    }

    async fn forget_token(&self, user: &UserId, id: &TokenId, hash: &TokenHash) -> Result<()> {
        self.by_hash.forget(hash.bytes());
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash.bytes());
        self.objects.delete_entry(user, id).await
    }

    /// Schedules the deletion of a token some time after it expires at `end`.
    pub(super) async fn schedule_end(&self, token: &KeptToken, end: Timestamp) -> Result<()> {
        let KeptToken { id, hash, user_id: user, .. } = *token;
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
                self.bury(&kept.user_id, id, hash).await?;
            }
            Some((TokenState::Kept(_), _)) => {}
            Some((TokenState::Revoked(revocation), _)) => {
                let uptime = self.guard.uptime().saturating_sub(Duration::from_secs(revocation.uptime_secs));
                if now.since(revocation.revoked_at) < LONGEST_REQUEST || uptime < LONGEST_REQUEST {
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
