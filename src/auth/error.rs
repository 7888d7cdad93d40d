//! Errors of accounts and tokens.

use crate::{kv::JsonError, storage};

/// The result of an operation on accounts or tokens.
pub type Result<T, E = AccountsError> = std::result::Result<T, E>;

/// A failed operation on accounts or tokens. Nothing has changed unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The object store failed; a change may have happened.
    #[error("cannot read or write accounts and tokens")]
    Storage(#[from] storage::Error),
    /// The content of the object is invalid.
    #[error("the object {key} is damaged")]
    Damaged {
        /// The object's key.
        key: String,
        /// The cause.
        #[source]
        cause: storage::BoxError,
    },
    /// Too many concurrent changes of the same document.
    #[error("too many concurrent changes of the same account")]
    Contended,
    /// The text is no valid username.
    #[error("a username is 3 to 30 of a-z, 0-9, '_', '.' and '-', and does not look like an id")]
    InvalidUsername,
    /// Another user has the name.
    #[error("a user with this name already exists")]
    UsernameTaken,
    /// There is no such user.
    #[error("the user was not found")]
    UserNotFound,
    /// The given token belongs to another user: it is the admin's, or was created for another user.
    #[error("the token already belongs to another user")]
    TokenTaken,
    /// There is no such token.
    #[error("the token was not found")]
    TokenNotFound,
    /// The admin cannot be disabled: no other user could enable the account again.
    #[error("the admin cannot be disabled")]
    AdminStays,
}

impl From<JsonError> for AccountsError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Storage(error) => Self::Storage(error),
            JsonError::Damaged { key, cause } => Self::Damaged { key, cause },
        }
    }
}
