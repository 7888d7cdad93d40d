//! Authentication and authorization.
//!
//! A request's token becomes a [`Caller`] ([`TokenRepository`]). A caller and an action become a [`Grant`] ([`authorize`]).
//! Access to a store's data requires a grant. This module also derives secrets ([`Secrets`]) and signs links
//! ([`signature`]). It sees tokens as text and knows no HTTP.

mod access;
mod error;
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
pub use error::AccountsError;
pub use secret::{MasterSecret, Secrets, SecretsError};
pub use share_index::ShareIndex;
pub use token::{Scope, StoreRule, StoredToken, Token, TokenHash, UpstreamKind, is_upstream_id};
pub use token_repository::{NewToken, TokenRepository, Unrecognised};
pub use user::{AccountAccess, Quota, QuotaUpdate, User, Username};
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
