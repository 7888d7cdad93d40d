//! Whoever sent a request.

use std::sync::Arc;

use super::user::User;

/// Whoever sent a request. Nobody in particular is a caller, too.
#[derive(Debug, Clone)]
pub enum Caller {
    /// No token was given.
    Anonymous,
    /// A token of this user's that may do all that he may.
    User(Arc<User>),
}

impl Caller {
    /// The user, if the caller is one.
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user),
        }
    }
}
