//! Requests about stores: address, creation, update.

use crate::clock::{Random, Timestamp};

use super::{
    lifecycle::state_machine::{self, LifecyclePolicy},
    model::{
        access::{GeneralAccess, MAX_SHARES, Right, Shares},
        errors::{Error, Result},
        ids::{ActorId, RunId, StoreId, TokenId, UserId},
        names::StoreName,
        retention::Retention,
        schema::Schema,
    },
    persist::store_metadata::{DOCUMENT_FORMAT, Document, Phase, Stats, nonce},
};

/// Address of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocator {
    /// By its id.
    Id(StoreId),
    /// By its owner and its name, for the owner.
    Name(UserId, StoreName),
    /// By its owner and its name, for any other caller, who must not learn from the cost of a lookup whether the
    /// store exists. For an owner that does not exist, use a [`UserId::unassigned`] one.
    ForeignName(UserId, StoreName),
}

/// A store to create.
#[derive(Debug, Clone, Default)]
pub struct NewStore {
    /// Its name; a store without one is unnamed.
    pub name: Option<StoreName>,
    /// Its title, for display.
    pub title: Option<String>,
    /// Its schema.
    pub schema: Option<Schema>,
    /// Retention after its last change while it has no name; `None` for the default.
    pub retention: Option<Retention>,
    /// The token that creates it, if that token is limited to what it creates.
    pub creator_token_id: Option<TokenId>,
    /// The run that it is created for, if any.
    pub creator: Option<Creator>,
}

/// Creator of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creator {
    /// The actor.
    pub actor: ActorId,
    /// Its run.
    pub run: RunId,
}

impl NewStore {
    /// Returns the first document of the store, with the `usual` retention unless one is given.
    pub fn into_document(
        self,
        policy: &LifecyclePolicy,
        owner: UserId,
        phase: Phase,
        usual: Retention,
        random: &dyn Random,
        now: Timestamp,
    ) -> Document {
        let retention = self.retention.unwrap_or(usual);
        let is_named = self.name.is_some();
        Document {
            format: DOCUMENT_FORMAT,
            id: StoreId::generate(random),
            version: 1,
            nonce: nonce(random),
            owner_id: owner,
            name: None,
            pending_name: self.name,
            title: self.title,
            created_at: now,
            modified_at: now,
            accessed_at: now,
            general_access: GeneralAccess::default(),
            shares: Shares::default(),
            creator_token_id: self.creator_token_id,
            schema: self.schema,
            act_id: self.creator.map(|creator| creator.actor.as_str().to_owned()),
            act_run_id: self.creator.map(|creator| creator.run.as_str().to_owned()),
            retention,
            expires_at: (!is_named).then(|| state_machine::extended_expiry(retention, now)),
            signing_key_version: 0,
            location: policy.initial_location(is_named, retention, now),
            phase,
            stale_locations: Vec::new(),
            index_entries: Vec::new(),
            former_names: Vec::new(),
            due_at: None,
            stats: Stats::default(),
            contents: None,
        }
    }
}

/// Patch of an optional field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Leaves it unchanged.
    #[default]
    Keep,
    /// Removes it.
    Clear,
    /// Sets it.
    Set(T),
}

/// An update of a store.
#[derive(Debug, Clone, Default)]
pub struct StoreUpdate {
    /// Its name.
    pub name: Patch<StoreName>,
    /// Its title.
    pub title: Patch<String>,
    /// Its access; `None` to leave it unchanged.
    pub general_access: Option<GeneralAccess>,
    /// Its retention while it has no name; cleared, the default of new stores applies.
    pub retention: Patch<Retention>,
    /// A user, and the right to grant; `None` revokes it.
    pub share: Option<(UserId, Option<Right>)>,
    /// Keeps links valid that were signed by a user who loses the right to write by this update.
    pub keep_links: bool,
    /// A user whose signed links are revoked, if that user has the right to write.
    pub revoke_links_of: Option<UserId>,
    /// Rotates the secret that signs links, which revokes all existing links.
    pub rotate_signing_key: bool,
}

/// Returns whether an update revokes all links to a store: on request, or because a user who knows the signing secret
/// loses the right to write.
fn revokes_links(update: &StoreUpdate, document: &Document) -> bool {
    let may_write = |user: &UserId| document.shares.right_of(user) >= Some(Right::Write);
    let loses_write =
        update.share.is_some_and(|(user, right)| may_write(&user) && right < Some(Right::Write) && !update.keep_links);
    update.rotate_signing_key || loses_write || update.revoke_links_of.is_some_and(|user| may_write(&user))
}

/// Applies an update except for a new name, which the document already has if it `is_renamed`. Returns whether there
/// is anything to write. Expiry is checked against the wall time `now`; new expiries are computed from `base`.
pub fn apply(
    policy: &LifecyclePolicy,
    update: &StoreUpdate,
    document: &mut Document,
    is_renamed: bool,
    usual: Retention,
    (now, base): (Timestamp, Timestamp),
) -> Result<bool> {
    if !document.is_visible(now) {
        return Err(Error::StoreNotFound);
    }
    let settings = |document: &Document| {
        let name = document.name.as_ref().map(|name| name.as_str().to_owned());
        let access = (document.general_access, document.shares.clone(), document.signing_key_version);
        (name, document.title.clone(), access, document.retention)
    };
    let before = settings(document);
    match &update.name {
        Patch::Clear if document.name.is_some() => policy.remove_name(document, base),
        // The same name, perhaps in another letter case.
        Patch::Set(name) if document.name.as_ref() == Some(name) => document.name = Some(name.clone()),
        Patch::Set(_) | Patch::Clear | Patch::Keep => {}
    }
    match update.retention {
        Patch::Set(retention) if retention != document.retention => policy.set_retention(document, retention, base),
        Patch::Clear if usual != document.retention => policy.set_retention(document, usual, base),
        Patch::Set(_) | Patch::Clear | Patch::Keep => {}
    }
    match &update.title {
        Patch::Keep => {}
        Patch::Clear => document.title = None,
        Patch::Set(title) => document.title = Some(title.clone()),
    }
    if let Some(general_access) = update.general_access {
        document.general_access = general_access;
    }
    let revokes_links = revokes_links(update, document);
    if let Some((user, right)) = update.share {
        document.shares.set(user, right);
        if document.shares.len() > MAX_SHARES {
            return Err(Error::TooManyShares { limit: MAX_SHARES });
        }
    }
    if revokes_links {
        document.signing_key_version += 1;
    }
    let is_changed = is_renamed || settings(document) != before;
    if is_changed {
        document.modified_at = document.modified_at.max(now);
    }
    // An update extends the expiry even if it changes nothing else.
    Ok(policy.extend_expiry(document, now, base)? || is_changed)
}
