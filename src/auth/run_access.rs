//! Who may do what with a run: the only place that can make a [`RunGrant`].

use crate::kv::{GeneralAccess, Right, RunId, StoreId, TokenId, UserId};

use super::{
    access::Denied,
    caller::{Caller, Session},
    user::User,
};

/// What a caller wants to do with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunAction {
    /// See it.
    Read,
    /// Say how it goes, as the program does that is run: whoever may write to its store.
    Report,
    /// Say who may see it, and make tokens for it.
    Control,
}

impl RunAction {
    /// The right that it takes, on the run as on its store.
    fn right(self) -> Right {
        match self {
            Self::Read => Right::Read,
            Self::Report => Right::Write,
            Self::Control => Right::Manage,
        }
    }
}

/// What of a run decides who may do what with it.
#[derive(Debug, Clone, Copy)]
pub struct RunFacts {
    /// Identifies it.
    pub id: RunId,
    /// Whose it is.
    pub owner_id: UserId,
    /// Its store: who has a token for that has one for the run.
    pub store: StoreId,
    /// The token that made it, if one did that is limited to what it made.
    pub creator: Option<TokenId>,
    /// Who may see it without a right of his own.
    pub general_access: GeneralAccess,
}

/// Leave to do one thing with one run.
#[derive(Debug)]
pub struct RunGrant {
    run: RunFacts,
    right: Option<Right>,
}

impl RunGrant {
    /// The run.
    pub fn run(&self) -> &RunFacts {
        &self.run
    }

    /// Whether the caller may also say who may see it.
    pub fn may_manage(&self) -> bool {
        self.right >= Some(Right::Manage)
    }
}

/// Whether there can be a run with which `caller` may do `action`: asked before anything is looked up.
pub fn admit_to_run(caller: &Caller, action: RunAction) -> Result<(), Denied> {
    match (caller, action) {
        (Caller::User(_), _) | (Caller::Anonymous, RunAction::Read) => Ok(()),
        (Caller::Anonymous, RunAction::Report | RunAction::Control) => Err(Denied::TokenRequired),
    }
}

/// Leave for `caller` to do `action` with a run of `owner`'s.
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

/// What somebody may do by a right of his own: what his user may, as far as his token goes.
fn right_of(session: &Session, run: &RunFacts) -> Option<Right> {
    let is_own = session.user.id == run.owner_id || session.user.is_admin();
    let of_token = match session.scope() {
        None => Some(Right::Manage),
        Some(_) if run.creator.is_some() && run.creator == session.token_id() => Some(Right::Manage),
        Some(scope) => scope.right_on_id(&run.store),
    };
    of_token.filter(|_| is_own)
}
