//! Authentication and authorization.
//!
//! A request's token becomes a [`Caller`] ([`Tokens`]). A caller and an action become a [`Grant`] ([`authorize`]).
//! Access to a store's data requires a grant. This module also derives secrets ([`Secrets`]) and signs links
//! ([`signature`]). It sees tokens as text and knows no HTTP.

mod access;
mod admitted;
mod caller;
mod documents;
mod error;
mod page;
mod prefixes;
mod quota;
mod run_access;
mod scope;
mod secret;
mod shared;
pub mod signature;
mod token;
mod token_ends;
mod token_objects;
mod token_uses;
mod tokens;
mod user;
mod users;

pub use access::{
    AccountAction, AccountGrant, Action, Addressed, Denied, Grant, admit, authorize, authorize_account,
    authorize_upstream,
};
pub use admitted::Admitted;
pub use caller::{Caller, Session};
pub use error::AccountsError;
pub use page::{Page, PageQuery};
pub use prefixes::PREFIXES;
pub use quota::{Quota, QuotaUpdate};
pub use run_access::{RunAction, RunFacts, RunGrant, admit_to_run, authorize_run};
pub use scope::{Scope, StoreRule, UpstreamKind, is_upstream_id};
pub use secret::{MasterSecret, Secrets, SecretsError};
pub use shared::SharedStores;
pub use token::{KeptToken, Token, TokenHash};
pub use tokens::{NewToken, Tokens, Unrecognised};
pub use user::{AccountAccess, User, Username};
pub use users::{NewUser, UserUpdate, Users};
