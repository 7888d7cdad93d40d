//! Sender of a request.

use std::{net::IpAddr, sync::Arc};

use crate::kv::TokenId;

use super::{scope::Scope, token::KeptToken, user::User};

/// Sender of a request, possibly anonymous.
#[derive(Debug, Clone)]
pub enum Caller {
    /// No token was given.
    Anonymous,
    /// A user, identified by a token.
    User(Session),
}

/// User and token of a request.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user.
    pub user: Arc<User>,
    /// The token; `None` for the admin's initial token.
    pub token: Option<Arc<KeptToken>>,
    /// The client's address, if known.
    pub ip: Option<IpAddr>,
}

impl Session {
    /// Returns the token's scope, if it has one.
    pub fn scope(&self) -> Option<&Scope> {
        self.token.as_ref()?.scope.as_ref()
    }

    /// Returns the token's id; `None` for the admin's initial token.
    pub fn token_id(&self) -> Option<TokenId> {
        self.token.as_ref().map(|token| token.id)
    }
}

impl Caller {
    /// Returns the same session with that client address.
    #[must_use]
    pub fn calling_from(mut self, ip: Option<IpAddr>) -> Self {
        if let Self::User(session) = &mut self {
            session.ip = ip;
        }
        self
    }

    /// Returns the user, if the caller is one.
    pub fn user(&self) -> Option<&Arc<User>> {
        self.session().map(|session| &session.user)
    }

    /// Returns the user and the token, if the caller is a user.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Anonymous => None,
            Self::User(session) => Some(session),
        }
    }
}
