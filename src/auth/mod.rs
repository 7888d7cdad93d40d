//! Who may do what.
//!
//! A request's token becomes a [`Caller`] ([`Tokens`]), a caller and an action become a [`Grant`] ([`authorize`]), and
//! nothing reaches a store's data but through a grant. Secrets are derived ([`Secrets`]) and links signed
//! ([`signature`]) here as well. This room sees tokens as text: it knows no HTTP.

mod access;
mod caller;
mod secret;
pub mod signature;
mod token;
mod user;

pub use access::{AccountAction, AccountGrant, Action, Denied, Grant, admit, authorize, authorize_account};
pub use caller::Caller;
pub use secret::{MasterSecret, Secrets, SecretsError};
pub use token::{Token, Tokens, UnknownToken};
pub use user::{User, Users, UsersError};
