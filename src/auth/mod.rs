//! Authentication and authorization.
//!
//! A request's token becomes a [`Caller`] ([`TokenRepository`]). A caller and an action become a [`Grant`]
//! ([`authorize`]). Access to a store's data requires a grant, and only [`authorize`] makes one. So a handler that
//! forgets to authorize does not compile. `tests/api/access_table.txt` has the expected result for every route and
//! caller, written by hand.
//!
//! This module also derives secrets ([`Secrets`]) and signs links ([`signature`]). It sees tokens as text and knows no
//! HTTP.
//!
//! # Objects
//!
//! * An account is under its name, with a pointer from its id.
//! * A token is under its hash, where one read finds it, with an entry for lists by user. `token_objects.rs` has the
//!   keys.
//! * A share is in the store's document. The index of shares only finds the stores that are shared with a user.
//!
//! Documents are cached for the staleness bound. Hashes are compared in constant time.
//!
//! # Writing a right
//!
//! 1. An object that grants a right is created if absent, or replaced by compare-and-swap. Only index entries and dates
//!    of last use are written without a condition.
//! 2. A token gets its list entry before the object at its hash; a shared store gets its entry before the right is in
//!    its document. A crash in between leaves an entry that grants nothing.
//! 3. Revocation puts a tombstone at the token's hash: the commit point. A write that began before and arrives later
//!    loses.
//! 4. Due items lead a job to tombstones that are an hour old and to tokens that expired a day ago, which it deletes.
//!
//! `tests/domain/accounts` interleaves every two calls about accounts, shares and runs at every object call.

mod access;
mod secret;
mod share_index;
pub mod signature;
mod token;
mod token_objects;
mod token_repository;
mod ttl_cache;
mod user;
mod user_repository;

pub use access::{
    AccountAction, AccountGrant, Action, Addressed, Authorized, Caller, Denied, Grant, RunAction, RunFacts, RunGrant,
    Session, authorize, authorize_account, authorize_run, authorize_upstream, precheck, precheck_run,
};
pub use secret::{MasterSecret, Secrets, SecretsError};
pub use share_index::ShareIndex;
pub use token::{Scope, StoreRule, StoredToken, Token, TokenHash, UpstreamKind, is_upstream_id};
pub use token_repository::{NewToken, TokenRepository, Unrecognised};
pub use user::{AccountAccess, AccountsError, Quota, QuotaUpdate, User, Username};
pub use user_repository::{NewUser, Page, PageQuery, UserRepository, UserUpdate};

/// Prefixes of all objects of this module, each a folder whose keys are listed in byte order, or one object.
pub const PREFIXES: [&str; 8] = [
    user_repository::USERS,
    user_repository::USER_IDS,
    token_objects::TOKENS,
    token_objects::TOKENS_BY_USER,
    token_objects::TOKENS_LAST_USED,
    token_objects::TOKENS_DUE,
    share_index::SHARES,
    secret::MASTER_KEY,
];
