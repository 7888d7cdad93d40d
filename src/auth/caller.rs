//! Whoever sent a request.

use std::{net::IpAddr, sync::Arc};

use crate::kv::TokenId;

use super::{scope::Scope, token::KeptToken, user::User};

/// Whoever sent a request. Nobody in particular is a caller, too.
#[derive(Debug, Clone)]
pub enum Caller {
    /// No token was given.
    Anonymous,
    /// A user, by one of his tokens.
    User(Session),
}

/// A user, by one of his tokens.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user.
    pub user: Arc<User>,
    /// The token; `None` for the one that the admin has from the start.
    pub token: Option<Arc<KeptToken>>,
    /// Where he calls from, if that is known.
    pub ip: Option<IpAddr>,
}

impl Session {
    /// What the token is limited to, if it is.
    pub fn scope(&self) -> Option<&Scope> {
        self.token.as_ref()?.scope.as_ref()
    }

    /// The token's id, unless it is the admin's first.
    pub fn token_id(&self) -> Option<TokenId> {
        self.token.as_ref().map(|token| token.id)
    }
}

impl Caller {
    /// The same, calling from there.
    #[must_use]
    pub fn calling_from(mut self, ip: Option<IpAddr>) -> Self {
        if let Self::User(session) = &mut self {
            session.ip = ip;
        }
        self
    }

    /// The user, if the caller is one.
    pub fn user(&self) -> Option<&Arc<User>> {
        self.session().map(|session| &session.user)
    }

    /// The user and his token, if the caller is one.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Anonymous => None,
            Self::User(session) => Some(session),
        }
    }
}
