//! What may be asked for of stores: which one, a new one, changes of one.

use crate::clock::{Random, Timestamp};

use super::{
    document::{DOCUMENT_FORMAT, Document, GeneralAccess, Phase, Stats, nonce},
    error::{Error, Result},
    id::{ActorId, RunId, StoreId, TokenId, UserId},
    life::{self, LifeRules},
    name::StoreName,
    retention::Retention,
    schema::Schema,
    sharing::{MAX_SHARES, Right, Shares},
};

/// How a store is addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocator {
    /// By its id.
    Id(StoreId),
    /// By its owner and its name, for the owner.
    Name(UserId, StoreName),
    /// By its owner and its name, for any other caller, who is not to learn by what a look-up costs whether there is
    /// such a store. An owner that does not exist is a [`UserId::vacant`] one.
    NameOfAnother(UserId, StoreName),
}

/// A store that is to be.
#[derive(Debug, Clone, Default)]
pub struct NewStore {
    /// Its name; without one it is unnamed.
    pub name: Option<StoreName>,
    /// Its title, for people.
    pub title: Option<String>,
    /// Its schema.
    pub schema: Option<Schema>,
    /// How long it lives after its last change while it has no name; the usual time unless it says otherwise.
    pub retention: Option<Retention>,
    /// The token that makes it, if it is one that is limited to what it makes.
    pub creator: Option<TokenId>,
    /// The run that it is made for, if it is.
    pub maker: Option<Maker>,
}

/// What a store is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maker {
    /// The actor.
    pub actor: ActorId,
    /// Its run.
    pub run: RunId,
}

impl NewStore {
    /// The first document of the store; it lives its `usual` retention unless it was said otherwise.
    pub fn into_document(
        self,
        rules: &LifeRules,
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
            creator: self.creator,
            schema: self.schema,
            act_id: self.maker.map(|maker| maker.actor.as_str().to_owned()),
            act_run_id: self.maker.map(|maker| maker.run.as_str().to_owned()),
            retention,
            expires_at: (!is_named).then(|| life::end_of_life(retention, now)),
            secret_rotation: 0,
            place: rules.first_place(is_named, retention, now),
            phase,
            leftovers: Vec::new(),
            entries: Vec::new(),
            former_names: Vec::new(),
            reminder_at: None,
            stats: Stats::default(),
            contents: None,
        }
    }
}

/// What becomes of something that may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It goes.
    Clear,
    /// It becomes this.
    Set(T),
}

/// Changes of a store.
#[derive(Debug, Clone, Default)]
pub struct StoreUpdate {
    /// Its name.
    pub name: Change<StoreName>,
    /// Its title.
    pub title: Change<String>,
    /// Its access, unless that stays.
    pub general_access: Option<GeneralAccess>,
    /// How long it lives while it has no name; cleared, it lives as long as new stores do.
    pub retention: Change<Retention>,
    /// Whom to give a right of his own, or to take it from.
    pub share: Option<(UserId, Option<Right>)>,
    /// Whether links stay valid that were signed by a user who loses the right to write by this update. Else they end with it.
    pub keeps_links: bool,
    /// End the links that this user may have signed, if the user has the right to write.
    pub ends_links_of: Option<UserId>,
    /// Whether its links are to be signed by another secret from now on: all that were made before die.
    pub rotates_secret: bool,
}

/// Returns whether an update ends all links to a store: it says so, or a user loses the right to write, who knows the secret that
/// signs them.
fn ends_links(update: &StoreUpdate, document: &Document) -> bool {
    let may_write = |user: &UserId| document.shares.right_of(user) >= Some(Right::Write);
    let loses_write =
        update.share.is_some_and(|(user, right)| may_write(&user) && right < Some(Right::Write) && !update.keeps_links);
    update.rotates_secret || loses_write || update.ends_links_of.is_some_and(|user| may_write(&user))
}

/// Makes the changes of an update but for a new name, which the document has already if it `is_renamed`; whether there
/// is anything to write. Whether the store has expired goes by the wall time `now`, ends are computed from `base`.
pub fn apply(
    rules: &LifeRules,
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
        let access = (document.general_access, document.shares.clone(), document.secret_rotation);
        (name, document.title.clone(), access, document.retention)
    };
    let before = settings(document);
    match &update.name {
        Change::Clear if document.name.is_some() => rules.take_name(document, base),
        // The same name, maybe in other letters.
        Change::Set(name) if document.name.as_ref() == Some(name) => document.name = Some(name.clone()),
        Change::Set(_) | Change::Clear | Change::Keep => {}
    }
    match update.retention {
        Change::Set(retention) if retention != document.retention => rules.retain(document, retention, base),
        Change::Clear if usual != document.retention => rules.retain(document, usual, base),
        Change::Set(_) | Change::Clear | Change::Keep => {}
    }
    match &update.title {
        Change::Keep => {}
        Change::Clear => document.title = None,
        Change::Set(title) => document.title = Some(title.clone()),
    }
    if let Some(general_access) = update.general_access {
        document.general_access = general_access;
    }
    let ends_links = ends_links(update, document);
    if let Some((user, right)) = update.share {
        document.shares.set(user, right);
        if document.shares.len() > MAX_SHARES {
            return Err(Error::TooManyShares { limit: MAX_SHARES });
        }
    }
    if ends_links {
        document.secret_rotation += 1;
    }
    let is_changed = is_renamed || settings(document) != before;
    if is_changed {
        document.modified_at = document.modified_at.max(now);
    }
    // Whoever updates a store wants it, also when everything is as it should be.
    Ok(rules.renew(document, now, base)? || is_changed)
}
