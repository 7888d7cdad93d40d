//! The access table: the only place that can make a [`Grant`].

use std::sync::Arc;

use crate::kv::{Document, GeneralAccess, NewStore, Right, StoreView, UserId};

use super::{
    caller::{Caller, Session},
    scope::UpstreamKind,
    user::User,
};

/// What a caller wants to do with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See the store object.
    ReadStore,
    /// List its keys.
    ListKeys,
    /// Read or probe a record.
    ReadRecord,
    /// Download all its records.
    DownloadRecords,
    /// Write or delete a record.
    WriteRecord,
    /// Change its settings.
    UpdateStore,
    /// Delete it.
    DeleteStore,
    /// See and change who else may do what with it.
    ManageAccess,
}

impl Action {
    /// Every action there is.
    pub const ALL: [Self; 8] = [
        Self::ReadStore,
        Self::ListKeys,
        Self::ReadRecord,
        Self::DownloadRecords,
        Self::WriteRecord,
        Self::UpdateStore,
        Self::DeleteStore,
        Self::ManageAccess,
    ];

    /// The right that it takes.
    pub fn right(self) -> Right {
        match self {
            Self::ReadStore | Self::ListKeys | Self::ReadRecord | Self::DownloadRecords => Right::Read,
            Self::WriteRecord | Self::UpdateStore | Self::DeleteStore => Right::Write,
            Self::ManageAccess => Right::Manage,
        }
    }

    /// Whether a signed link can give leave to it: it shows what is in the store, and not the store itself.
    pub fn is_linked(self) -> bool {
        match self {
            Self::ListKeys | Self::ReadRecord | Self::DownloadRecords => true,
            Self::ReadStore | Self::WriteRecord | Self::UpdateStore | Self::DeleteStore | Self::ManageAccess => false,
        }
    }
}

/// What a caller wants to do with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountAction {
    /// List stores.
    ListStores,
    /// Make a store, or get the one of that name.
    CreateStore,
    /// See himself.
    ReadUser,
    /// Make, list, replace and revoke his own tokens.
    ManageTokens,
    /// See and change all accounts and their tokens.
    Administer,
    /// Do, for stores of whoever, what one gateway asks of another: count their use, put off their end.
    ActAsGateway,
}

/// How a store was asked for: what is open to the public depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Addressed {
    /// By its id, which is hard to guess.
    ById,
    /// By its owner and its name.
    ByName,
}

/// Why a caller may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// He would have to say who he is.
    #[error("a token is needed")]
    TokenRequired,
    /// He has no right to it.
    #[error("the caller has no right to do this")]
    Insufficient,
    /// He is not to learn that there is such a store.
    #[error("the caller may not know of the store")]
    Hidden,
}

/// Leave to do one thing with one store. Whoever acts on a store takes it from here and from nowhere else.
#[derive(Debug)]
pub struct Grant {
    store: Arc<StoreView>,
    owner: Arc<User>,
    action: Action,
    /// What the caller may do by a right of his own.
    right: Option<Right>,
}

impl Grant {
    /// The store.
    pub fn store(&self) -> &Arc<StoreView> {
        &self.store
    }

    /// Whose it is.
    pub fn owner(&self) -> &Arc<User> {
        &self.owner
    }

    /// What may be done with it.
    pub fn action(&self) -> Action {
        self.action
    }

    /// The same leave for the same store after the change it was for.
    pub fn renewed(&self, store: Arc<StoreView>) -> Result<Self, Denied> {
        if store.document.id == self.store.document.id {
            Ok(Self { store, owner: Arc::clone(&self.owner), action: self.action, right: self.right })
        } else {
            Err(Denied::Insufficient)
        }
    }

    /// What the caller may do with it by a right of his own; what is open to anybody, or signed, is no such right.
    pub fn right(&self) -> Option<Right> {
        self.right
    }

    /// Whether the caller may also write to it, and so may see what signs its links.
    pub fn may_write(&self) -> bool {
        self.right >= Some(Right::Write)
    }

    /// Whether the caller may also say who else may do what with it.
    pub fn may_manage(&self) -> bool {
        self.right >= Some(Right::Manage)
    }
}

/// Leave to do one thing with one account.
#[derive(Debug)]
pub struct AccountGrant {
    session: Session,
}

impl AccountGrant {
    /// Whose account it is.
    pub fn user(&self) -> &Arc<User> {
        &self.session.user
    }

    /// The caller and his token.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Leave to see a store in the account's list. Whoever may list is shown all of it; what else his token may do with a
    /// store is as it is.
    pub fn listing(&self, caller: &Caller, store: Arc<StoreView>, owner: Arc<User>) -> Result<Grant, Denied> {
        let of_user = owner.id == self.user().id || store.document.shares.right_of(&self.user().id).is_some();
        if store.document.owner_id != owner.id || !of_user {
            return Err(Denied::Insufficient);
        }
        let right = caller.session().and_then(|session| right_of(session, &store.document));
        Ok(Grant { store, owner, action: Action::ReadStore, right })
    }

    /// What is to be made is the caller's, and that of his token where that is limited to what it made.
    pub fn creation(&self, new: NewStore) -> (UserId, NewStore) {
        let creator = self.session.scope().and_then(|_| self.session.token_id());
        (self.user().id, NewStore { creator, ..new })
    }
}

/// Whether there can be a store with which `caller` may do `action`. Whoever cannot be let in anywhere is told so before
/// anything is looked up, and does not learn what there is.
pub fn admit(caller: &Caller, action: Action) -> Result<(), Denied> {
    match (caller, action.right()) {
        (Caller::User(_), Right::Read | Right::Write | Right::Manage) | (Caller::Anonymous, Right::Read) => Ok(()),
        (Caller::Anonymous, Right::Write | Right::Manage) => Err(Denied::TokenRequired),
    }
}

/// Leave for `caller` to do `action` with `store`, which is `owner`'s and was asked for as `addressed` says. `is_signed` says
/// whether he has shown a signature for just this store and this action.
pub fn authorize(
    caller: &Caller,
    action: Action,
    store: Arc<StoreView>,
    owner: Arc<User>,
    addressed: Addressed,
    is_signed: bool,
) -> Result<Grant, Denied> {
    admit(caller, action)?;
    if store.document.owner_id != owner.id {
        return Err(Denied::Insufficient);
    }
    let right = caller.session().and_then(|session| right_of(session, &store.document));
    let is_open = action.right() == Right::Read && is_public(&store.document, &owner, addressed);
    // What a disabled user signed opens nothing of the user's own stores.
    let is_signed = is_signed && action.is_linked() && !owner.is_disabled;
    if right >= Some(action.right()) || is_open || is_signed {
        return Ok(Grant { store, owner, action, right });
    }
    let is_own = caller.user().is_some_and(|user| user.id == owner.id);
    match addressed {
        Addressed::ByName if right.is_none() && !is_own => Err(Denied::Hidden),
        Addressed::ByName | Addressed::ById => Err(Denied::Insufficient),
    }
}

/// What somebody may do by a right of his own: what his user may, as far as his token goes.
fn right_of(session: &Session, document: &Document) -> Option<Right> {
    let user = &session.user;
    let of_user = if document.owner_id == user.id || user.is_admin() {
        Some(Right::Manage)
    } else {
        document.shares.right_of(&user.id)
    };
    let of_token = match session.scope() {
        None => Some(Right::Manage),
        Some(_) if document.creator.is_some() && document.creator == session.token_id() => Some(Right::Manage),
        Some(scope) => scope.right_on(document, &user.id),
    };
    of_user.min(of_token)
}

/// Whether anyone at all may read it.
fn is_public(document: &Document, owner: &User, addressed: Addressed) -> bool {
    match (owner.access_to(document.general_access), addressed) {
        (GeneralAccess::AnyoneWithNameCanRead, Addressed::ById | Addressed::ByName)
        | (GeneralAccess::AnyoneWithIdCanRead, Addressed::ById) => true,
        (GeneralAccess::AnyoneWithIdCanRead, Addressed::ByName)
        | (GeneralAccess::Restricted | GeneralAccess::FollowUserSetting, Addressed::ById | Addressed::ByName) => false,
    }
}

/// Leave for `caller` to do `action` with his account.
pub fn authorize_account(caller: &Caller, action: AccountAction) -> Result<AccountGrant, Denied> {
    let session = caller.session().ok_or(Denied::TokenRequired)?;
    let is_allowed = match (action, session.scope()) {
        (AccountAction::ReadUser, _) | (AccountAction::ListStores | AccountAction::CreateStore, None) => true,
        (AccountAction::ListStores, Some(scope)) => scope.list,
        (AccountAction::CreateStore, Some(scope)) => scope.create,
        (AccountAction::ManageTokens, scope) => scope.is_none(),
        (AccountAction::Administer | AccountAction::ActAsGateway, scope) => scope.is_none() && session.user.is_admin(),
    };
    if is_allowed { Ok(AccountGrant { session: session.clone() }) } else { Err(Denied::Insufficient) }
}

/// Whether `caller` may do whatever he likes with the upstream's dataset or request queue of that id; without an id, with
/// all of them.
pub fn authorize_upstream(caller: &Caller, kind: UpstreamKind, id: Option<&str>) -> Result<(), Denied> {
    let session = caller.session().ok_or(Denied::TokenRequired)?;
    let is_allowed = match (session.scope(), id) {
        (None, _) => true,
        (Some(scope), Some(id)) => scope.names_upstream(kind, id),
        (Some(_), None) => false,
    };
    if is_allowed { Ok(()) } else { Err(Denied::Insufficient) }
}
