//! The access table: the only place that can make a [`Grant`].

use std::sync::Arc;

use crate::kv::StoreView;

use super::{caller::Caller, user::User};

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
}

impl Action {
    /// Every action there is.
    pub const ALL: [Self; 7] = [
        Self::ReadStore,
        Self::ListKeys,
        Self::ReadRecord,
        Self::DownloadRecords,
        Self::WriteRecord,
        Self::UpdateStore,
        Self::DeleteStore,
    ];
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
    /// Do, for stores of whoever, what one gateway asks of another: count their use, put off their end.
    ActAsGateway,
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
}

/// Leave to do one thing with one store. Whoever acts on a store takes it from here and from nowhere else.
#[derive(Debug)]
pub struct Grant {
    store: Arc<StoreView>,
    action: Action,
    may_write: bool,
}

impl Grant {
    /// The store.
    pub fn store(&self) -> &Arc<StoreView> {
        &self.store
    }

    /// What may be done with it.
    pub fn action(&self) -> Action {
        self.action
    }

    /// The same leave for the same store after the change it was for.
    pub fn renewed(&self, store: Arc<StoreView>) -> Result<Self, Denied> {
        if store.document.id == self.store.document.id {
            Ok(Self { store, action: self.action, may_write: self.may_write })
        } else {
            Err(Denied::Insufficient)
        }
    }

    /// Whether the caller may also write to it, and so may see what signs its links.
    pub fn may_write(&self) -> bool {
        self.may_write
    }
}

/// Leave to do one thing with one account.
#[derive(Debug)]
pub struct AccountGrant {
    user: Arc<User>,
}

impl AccountGrant {
    /// Whose account it is.
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }
}

/// Whether there can be a store with which `caller` may do `action`. Whoever cannot be let in anywhere is told so before
/// anything is looked up, and does not learn what there is.
pub fn admit(caller: &Caller, action: Action) -> Result<(), Denied> {
    match (caller, action) {
        (Caller::User(_), _) => Ok(()),
        (
            Caller::Anonymous,
            Action::ReadStore
            | Action::ListKeys
            | Action::ReadRecord
            | Action::DownloadRecords
            | Action::WriteRecord
            | Action::UpdateStore
            | Action::DeleteStore,
        ) => Err(Denied::TokenRequired),
    }
}

/// Leave for `caller` to do `action` with `store`.
pub fn authorize(caller: &Caller, action: Action, store: Arc<StoreView>) -> Result<Grant, Denied> {
    let user = caller.user().ok_or(Denied::TokenRequired)?;
    if store.document.owner_id != user.id {
        return Err(Denied::Insufficient);
    }
    Ok(Grant { store, action, may_write: true })
}

/// Leave for `caller` to do `action` with his account.
pub fn authorize_account(caller: &Caller, action: AccountAction) -> Result<AccountGrant, Denied> {
    let user = caller.user().ok_or(Denied::TokenRequired)?;
    match action {
        AccountAction::ListStores | AccountAction::CreateStore | AccountAction::ReadUser => {
            Ok(AccountGrant { user: Arc::clone(user) })
        }
        AccountAction::ActAsGateway if user.is_admin() => Ok(AccountGrant { user: Arc::clone(user) }),
        AccountAction::ActAsGateway => Err(Denied::Insufficient),
    }
}
