//! The access table: the callers, their actions, and the only functions that can create a grant.

use std::{net::IpAddr, sync::Arc};

use crate::kv::{Document, GeneralAccess, NewStore, Right, RunId, StoreId, StoreSnapshot, TokenId, UserId};

use super::{
    token::{Scope, StoredToken, UpstreamKind},
    user::User,
};

/// Operation of a caller on a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the store object.
    ReadStore,
    /// List the keys of the store.
    ListKeys,
    /// Read or probe a record.
    ReadRecord,
    /// Download all its records.
    DownloadRecords,
    /// Write or delete a record.
    WriteRecord,
    /// Change the settings of the store.
    UpdateStore,
    /// Delete the store.
    DeleteStore,
    /// Read and change the access rights of others to the store.
    ManageAccess,
}

impl Action {
    /// All actions.
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

    /// Returns the right that the action requires.
    pub fn right(self) -> Right {
        match self {
            Self::ReadStore | Self::ListKeys | Self::ReadRecord | Self::DownloadRecords => Right::Read,
            Self::WriteRecord | Self::UpdateStore | Self::DeleteStore => Right::Write,
            Self::ManageAccess => Right::Manage,
        }
    }

    /// Returns whether a signed link can permit the action. Links show the content of a store, never the store object.
    pub fn is_linked(self) -> bool {
        match self {
            Self::ListKeys | Self::ReadRecord | Self::DownloadRecords => true,
            Self::ReadStore | Self::WriteRecord | Self::UpdateStore | Self::DeleteStore | Self::ManageAccess => false,
        }
    }
}

/// Operation of a caller on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountAction {
    /// List stores.
    ListStores,
    /// Create a store, or get the one of that name.
    CreateStore,
    /// Read the caller's own account.
    ReadUser,
    /// Create, list, replace and revoke the caller's own tokens.
    ManageTokens,
    /// Read and change all accounts and their tokens.
    Administer,
    /// Perform an internal request of another gateway on any store: count usage, extend the expiry.
    ActAsGateway,
}

/// Form of a store's address. Public access depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Addressed {
    /// By its id, which is hard to guess.
    ById,
    /// By its owner and its name.
    ByName,
}

/// Reason for denying an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The caller is anonymous, and the operation requires a token.
    #[error("a token is required")]
    TokenRequired,
    /// The caller has no right to the operation.
    #[error("the caller has no right to do this")]
    Insufficient,
    /// The existence of the store is hidden from the caller.
    #[error("the caller may not know of the store")]
    Hidden,
}

/// Permission for one action on one store. Every operation on a store takes the store from its grant, and from nowhere
/// else.
#[derive(Debug)]
pub struct Grant {
    store: Arc<StoreSnapshot>,
    owner: Arc<User>,
    action: Action,
    /// The caller's own right on the store.
    right: Option<Right>,
}

impl Grant {
    /// Returns the store.
    pub fn store(&self) -> &Arc<StoreSnapshot> {
        &self.store
    }

    /// Returns the store's owner.
    pub fn owner(&self) -> &Arc<User> {
        &self.owner
    }

    /// Returns the permitted action.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Returns the same permission for the same store after the change that the grant was for.
    pub fn rebind(&self, store: Arc<StoreSnapshot>) -> Result<Self, Denied> {
        if store.document.id == self.store.document.id {
            Ok(Self { store, owner: Arc::clone(&self.owner), action: self.action, right: self.right })
        } else {
            Err(Denied::Insufficient)
        }
    }

    /// Returns the caller's own right on the store. Public access and signatures are not own rights.
    pub fn right(&self) -> Option<Right> {
        self.right
    }

    /// Returns whether the caller may also write to the store, and so may see the key that signs its links.
    pub fn may_write(&self) -> bool {
        self.right >= Some(Right::Write)
    }

    /// Returns whether the caller may also manage access to the store.
    pub fn may_manage(&self) -> bool {
        self.right >= Some(Right::Manage)
    }
}

/// Permission for one action on one account.
#[derive(Debug)]
pub struct AccountGrant {
    session: Session,
}

impl AccountGrant {
    /// Returns the account.
    pub fn user(&self) -> &Arc<User> {
        &self.session.user
    }

    /// Returns the caller's user and token.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the permission to see a store in the account's list. A caller who may list sees every store of the list;
    /// other actions on a store still depend on the token.
    pub fn listing(&self, caller: &Caller, store: Arc<StoreSnapshot>, owner: Arc<User>) -> Result<Grant, Denied> {
        let of_user = owner.id == self.user().id || store.document.shares.right_of(&self.user().id).is_some();
        if store.document.owner_id != owner.id || !of_user {
            return Err(Denied::Insufficient);
        }
        let right = caller.session().and_then(|session| right_of(session, &store.document));
        Ok(Grant { store, owner, action: Action::ReadStore, right })
    }

    /// Returns the owner and the description of a new store. A token that is limited to its own stores becomes its
    /// creator.
    pub fn creation(&self, new: NewStore) -> (UserId, NewStore) {
        let creator_token_id = self.session.scope().and_then(|_| self.session.token_id());
        (self.user().id, NewStore { creator_token_id, ..new })
    }
}

/// Returns whether any store can exist with which `caller` may do `action`. A caller without any such store is denied
/// before any look-up, and so learns nothing about which stores exist.
pub fn precheck(caller: &Caller, action: Action) -> Result<(), Denied> {
    match (caller, action.right()) {
        (Caller::User(_), Right::Read | Right::Write | Right::Manage) | (Caller::Anonymous, Right::Read) => Ok(()),
        (Caller::Anonymous, Right::Write | Right::Manage) => Err(Denied::TokenRequired),
    }
}

/// Authorizes `caller` to do `action` with `store` of `owner`, addressed as `addressed` says. `is_signed` is whether
/// the request carries a signature for just this store and this action.
pub fn authorize(
    caller: &Caller,
    action: Action,
    store: Arc<StoreSnapshot>,
    owner: Arc<User>,
    addressed: Addressed,
    is_signed: bool,
) -> Result<Grant, Denied> {
    precheck(caller, action)?;
    if store.document.owner_id != owner.id {
        return Err(Denied::Insufficient);
    }
    let right = caller.session().and_then(|session| right_of(session, &store.document));
    let is_open = action.right() == Right::Read && is_public(&store.document, &owner, addressed);
    // Signatures of a disabled user open none of the user's own stores.
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

/// Returns the session's own right on a store: the user's right, limited by the token's scope.
fn right_of(session: &Session, document: &Document) -> Option<Right> {
    let user = &session.user;
    let of_user = if document.owner_id == user.id || user.is_admin() {
        Some(Right::Manage)
    } else {
        document.shares.right_of(&user.id)
    };
    let of_token = match session.scope() {
        None => Some(Right::Manage),
        Some(_) if document.creator_token_id.is_some() && document.creator_token_id == session.token_id() => {
            Some(Right::Manage)
        }
        Some(scope) => scope.right_on(document, &user.id),
    };
    of_user.min(of_token)
}

/// Returns whether the store is publicly readable.
fn is_public(document: &Document, owner: &User, addressed: Addressed) -> bool {
    match (owner.access_to(document.general_access), addressed) {
        (GeneralAccess::AnyoneWithNameCanRead, Addressed::ById | Addressed::ByName)
        | (GeneralAccess::AnyoneWithIdCanRead, Addressed::ById) => true,
        (GeneralAccess::AnyoneWithIdCanRead, Addressed::ByName)
        | (GeneralAccess::Restricted | GeneralAccess::FollowUserSetting, Addressed::ById | Addressed::ByName) => false,
    }
}

/// Authorizes `caller` to do `action` with the caller's own account.
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

/// Returns whether `caller` has full access to the upstream's dataset or request queue of that id; without an id, to
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

/// Sender of a request, possibly anonymous.
#[derive(Debug, Clone)]
pub enum Caller {
    /// No token was given.
    Anonymous,
    /// A user, identified by a token.
    User(Session),
}

/// User and token of a request.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user.
    pub user: Arc<User>,
    /// The token; `None` for the admin's initial token.
    pub token: Option<Arc<StoredToken>>,
    /// The client's address, if known.
    pub ip: Option<IpAddr>,
}

impl Session {
    /// Returns the token's scope, if it has one.
    pub fn scope(&self) -> Option<&Scope> {
        self.token.as_ref()?.scope.as_ref()
    }

    /// Returns the token's id; `None` for the admin's initial token.
    pub fn token_id(&self) -> Option<TokenId> {
        self.token.as_ref().map(|token| token.id)
    }
}

impl Caller {
    /// Returns the same session with that client address.
    #[must_use]
    pub fn with_ip(mut self, ip: Option<IpAddr>) -> Self {
        if let Self::User(session) = &mut self {
            session.ip = ip;
        }
        self
    }

    /// Returns the user, if the caller is one.
    pub fn user(&self) -> Option<&Arc<User>> {
        self.session().map(|session| &session.user)
    }

    /// Returns the user and the token, if the caller is a user.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Anonymous => None,
            Self::User(session) => Some(session),
        }
    }
}

/// Operation of a caller on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunAction {
    /// Read the run.
    Read,
    /// Report the run's status, as its program does. Requires write access to its store.
    Report,
    /// Change who may see the run, and create tokens for it.
    Control,
}

impl RunAction {
    /// Returns the right that the action requires, on the run as on its store.
    fn right(self) -> Right {
        match self {
            Self::Read => Right::Read,
            Self::Report => Right::Write,
            Self::Control => Right::Manage,
        }
    }
}

/// Facts about a run that decide access to it.
#[derive(Debug, Clone, Copy)]
pub struct RunFacts {
    /// The run's id.
    pub id: RunId,
    /// The run's owner.
    pub owner_id: UserId,
    /// The run's store: a token for the store is a token for the run.
    pub store: StoreId,
    /// The token that created the run, if that token is limited to what it creates.
    pub creator: Option<TokenId>,
    /// Public access to the run.
    pub general_access: GeneralAccess,
}

/// Permission for one action on one run.
#[derive(Debug)]
pub struct RunGrant {
    run: RunFacts,
    right: Option<Right>,
}

impl RunGrant {
    /// Returns the run.
    pub fn run(&self) -> &RunFacts {
        &self.run
    }

    /// Returns whether the caller may also change who may see the run.
    pub fn may_manage(&self) -> bool {
        self.right >= Some(Right::Manage)
    }
}

/// Returns whether any run can exist with which `caller` may do `action`. Checked before any look-up.
pub fn precheck_run(caller: &Caller, action: RunAction) -> Result<(), Denied> {
    match (caller, action) {
        (Caller::User(_), _) | (Caller::Anonymous, RunAction::Read) => Ok(()),
        (Caller::Anonymous, RunAction::Report | RunAction::Control) => Err(Denied::TokenRequired),
    }
}

/// Authorizes `caller` to do `action` with a run of `owner`.
pub fn authorize_run(caller: &Caller, action: RunAction, run: RunFacts, owner: &User) -> Result<RunGrant, Denied> {
    precheck_run(caller, action)?;
    if run.owner_id != owner.id {
        return Err(Denied::Insufficient);
    }
    let right = caller.session().and_then(|session| right_on_run(session, &run));
    let is_open = match (action, owner.access_to(run.general_access)) {
        (RunAction::Read, GeneralAccess::AnyoneWithIdCanRead | GeneralAccess::AnyoneWithNameCanRead) => true,
        (RunAction::Read, GeneralAccess::Restricted | GeneralAccess::FollowUserSetting)
        | (RunAction::Report | RunAction::Control, _) => false,
    };
    if right >= Some(action.right()) || is_open { Ok(RunGrant { run, right }) } else { Err(Denied::Insufficient) }
}

/// Returns the session's own right on a run: the user's right, limited by the token's scope.
fn right_on_run(session: &Session, run: &RunFacts) -> Option<Right> {
    let is_own = session.user.id == run.owner_id || session.user.is_admin();
    let of_token = match session.scope() {
        None => Some(Right::Manage),
        Some(_) if run.creator.is_some() && run.creator == session.token_id() => Some(Right::Manage),
        Some(scope) => scope.right_on_id(&run.store),
    };
    of_token.filter(|_| is_own)
}

mod sealed {
    /// Prevents implementations outside this module.
    pub trait Sealed {}
}

/// Proof that the access table has admitted a caller: any of its grants. A [`Caller`] is no proof, since
/// it may be anonymous.
pub trait Authorized: sealed::Sealed {}

impl sealed::Sealed for Grant {}
impl sealed::Sealed for AccountGrant {}
impl sealed::Sealed for RunGrant {}
impl Authorized for Grant {}
impl Authorized for AccountGrant {}
impl Authorized for RunGrant {}
