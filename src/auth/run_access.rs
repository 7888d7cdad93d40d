//! Access to runs: the only module that can create a [`RunGrant`].

use crate::kv::{GeneralAccess, Right, RunId, StoreId, TokenId, UserId};

use super::{
    access::Denied,
    caller::{Caller, Session},
    user::User,
};

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
pub fn admit_to_run(caller: &Caller, action: RunAction) -> Result<(), Denied> {
    match (caller, action) {
        (Caller::User(_), _) | (Caller::Anonymous, RunAction::Read) => Ok(()),
        (Caller::Anonymous, RunAction::Report | RunAction::Control) => Err(Denied::TokenRequired),
    }
}

/// Authorizes `caller` to do `action` with a run of `owner`.
pub fn authorize_run(caller: &Caller, action: RunAction, run: RunFacts, owner: &User) -> Result<RunGrant, Denied> {
    admit_to_run(caller, action)?;
    if run.owner_id != owner.id {
        return Err(Denied::Insufficient);
    }
    let right = caller.session().and_then(|session| right_of(session, &run));
    let is_open = match (action, owner.access_to(run.general_access)) {
        (RunAction::Read, GeneralAccess::AnyoneWithIdCanRead | GeneralAccess::AnyoneWithNameCanRead) => true,
        (RunAction::Read, GeneralAccess::Restricted | GeneralAccess::FollowUserSetting)
        | (RunAction::Report | RunAction::Control, _) => false,
    };
    if right >= Some(action.right()) || is_open { Ok(RunGrant { run, right }) } else { Err(Denied::Insufficient) }
}

/// Returns the session's own right on a run: the user's right, limited by the token's scope.
fn right_of(session: &Session, run: &RunFacts) -> Option<Right> {
    let is_own = session.user.id == run.owner_id || session.user.is_admin();
    let of_token = match session.scope() {
        None => Some(Right::Manage),
        Some(_) if run.creator.is_some() && run.creator == session.token_id() => Some(Right::Manage),
        Some(scope) => scope.right_on_id(&run.store),
    };
    of_token.filter(|_| is_own)
}
