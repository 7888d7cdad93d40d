//! Audit log of changes to accounts, tokens, access and names, and of deletions. Structured log entries of the target
//! `larder::audit`, without secrets. Names and values of their fields are stable (docs/OPERATIONS.md has the table).

use crate::{
    auth::{Caller, Quota, Session, Username},
    clock::Timestamp,
    kv::{RunId, StoreId, TokenId},
};

/// Target of these log entries, for filters.
const TARGET: &str = "larder::audit";

/// Caller without a token.
const ANONYMOUS: &str = "anonymous";

/// Initial token of the admin, which has no id.
const ADMIN_TOKEN: &str = "admin";

/// Kind of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A user was created.
    UserCreate,
    /// A user was disabled or enabled, or their access or quota changed.
    UserUpdate,
    /// The signed links of a disabled user to stores of others were revoked.
    UserRevokeLinks,
    /// A token was created.
    TokenCreate,
    /// A token was replaced.
    TokenReplace,
    /// A token was revoked.
    TokenRevoke,
    /// The name or the general access of a store changed.
    StoreUpdate,
    /// A store was shared with a user, or no longer.
    StoreShare,
    /// All signed links to a store were revoked.
    StoreRevokeLinks,
    /// A store was deleted.
    StoreDelete,
    /// A run was created.
    RunCreate,
    /// The general access of a run and its store changed.
    RunUpdate,
    /// A run was aborted.
    RunAbort,
    /// A run was finished.
    RunFinish,
    /// The time was confirmed.
    ClockAccept,
}

impl Action {
    /// All actions with their names in the log.
    const NAMES: [(Self, &'static str); 15] = [
        (Self::UserCreate, "user.create"),
        (Self::UserUpdate, "user.update"),
        (Self::UserRevokeLinks, "user.revoke_links"),
        (Self::TokenCreate, "token.create"),
        (Self::TokenReplace, "token.replace"),
        (Self::TokenRevoke, "token.revoke"),
        (Self::StoreUpdate, "store.update"),
        (Self::StoreShare, "store.share"),
        (Self::StoreRevokeLinks, "store.revoke_links"),
        (Self::StoreDelete, "store.delete"),
        (Self::RunCreate, "run.create"),
        (Self::RunUpdate, "run.update"),
        (Self::RunAbort, "run.abort"),
        (Self::RunFinish, "run.finish"),
        (Self::ClockAccept, "clock.accept"),
    ];

    fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

/// Fields of an audit entry. A field that is `None` is omitted from the entry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Details<'a> {
    /// The user that was changed, whose token was changed, or with whom a store was shared.
    pub user: Option<&'a Username>,
    /// The store.
    pub store: Option<&'a StoreId>,
    /// The run.
    pub run: Option<&'a RunId>,
    /// The token.
    pub token: Option<&'a TokenId>,
    /// The token that replaces `token`.
    pub new_token: Option<&'a TokenId>,
    /// The store's new name; empty if the name was removed.
    pub name: Option<&'a str>,
    /// New general access.
    pub general_access: Option<&'static str>,
    /// The user's new right; `none` if it was revoked.
    pub right: Option<&'static str>,
    /// True if the user is disabled now.
    pub disabled: Option<bool>,
    /// The user's new limits, as far as they differ from the configuration.
    pub quota: Quota,
    /// Number of stores whose links were revoked.
    pub stores: Option<usize>,
    /// The actor of the run.
    pub actor: Option<&'a str>,
    /// The run's new status.
    pub status: Option<&'static str>,
    /// The time that was confirmed.
    pub time: Option<Timestamp>,
}

/// Logs an action of `caller`.
pub fn log(caller: &Caller, action: Action, details: &Details<'_>) {
    let session = caller.session();
    let token_id = session.and_then(Session::token_id);
    let Details { user, store, run, token, new_token, .. } = details;
    let Quota { stores, records, bytes, store_records, store_bytes } = details.quota;
    tracing::info!(
        target: TARGET,
        action = action.name(),
        caller = session.map_or(ANONYMOUS, |session| session.user.username.as_str()),
        caller_token = session.map(|_| token_id.as_ref().map_or(ADMIN_TOKEN, TokenId::as_str)),
        // Without quotes.
        caller_address = session.and_then(|session| session.ip).map(tracing::field::display),
        user = user.map(Username::as_str),
        store = store.map(StoreId::as_str),
        run = run.map(RunId::as_str),
        token = token.map(TokenId::as_str),
        new_token = new_token.map(TokenId::as_str),
        name = details.name,
        general_access = details.general_access,
        right = details.right,
        disabled = details.disabled,
        quota_stores = stores,
        quota_records = records,
        quota_bytes = bytes,
        quota_store_records = store_records,
        quota_store_bytes = store_bytes,
        stores = details.stores,
        actor = details.actor,
        status = details.status,
        time = details.time.map(tracing::field::display),
        "a change was made"
    );
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_action_has_its_name_and_is_documented() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/OPERATIONS.md");
        let page = fs::read_to_string(page).expect("docs/OPERATIONS.md");
        for (number, (action, name)) in Action::NAMES.into_iter().enumerate() {
            assert_eq!((action as usize, action.name()), (number, name));
            assert!(page.contains(&format!("| `{name}` |")), "docs/OPERATIONS.md has no row for {name}");
        }
    }
}
