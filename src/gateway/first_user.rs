//! The user of the configuration and their token, ensured at every start, so a first account needs no manual step.

use std::sync::Arc;

use crate::{
    auth::{AccountAccess, AccountsError, NewUser, Token, Tokens, User, Username, Users},
    config::Config,
};

use super::error::StartError;

/// The user of the configuration, and their token if one is set.
#[derive(Debug, Clone)]
pub(super) struct FirstUser {
    name: Username,
    token: Option<Token>,
}

impl FirstUser {
    /// Returns the user of the configuration, if it has one.
    pub(super) fn of(config: &Config) -> Option<Self> {
        config.user.clone().map(|name| Self { name, token: config.user_token.clone() })
    }

    /// Creates the account if it is missing, and makes its token valid; does nothing without a user. If several
    /// gateways start at once, one of them creates it.
    pub(super) async fn make_sure(user: Option<Self>, users: &Users, tokens: &Tokens) -> Result<(), StartError> {
        match user {
            Some(user) => user.be_there(users, tokens).await,
            None => Ok(()),
        }
    }

    async fn be_there(&self, users: &Users, tokens: &Tokens) -> Result<(), StartError> {
        let failed = |cause| StartError::FirstUser { user: self.name.clone(), cause };
        let user = self.account(users).await.map_err(failed)?;
        if user.is_disabled {
            tracing::warn!(user = %user.username, "the user of LARDER_USER is disabled, and so are the user's tokens");
        }
        let Some(token) = &self.token else { return Ok(()) };
        tokens.accept_given(&user, token).await.map_err(failed)
    }

    async fn account(&self, users: &Users) -> Result<Arc<User>, AccountsError> {
        if let Some(user) = users.find(self.name.as_str()).await? {
            return Ok(user);
        }
        let new = NewUser { username: self.name.clone(), general_access: AccountAccess::default() };
        match users.create(new).await {
            Ok(user) => {
                tracing::info!(user = %user.username, "the user of LARDER_USER was made");
                Ok(user)
            }
            Err(AccountsError::UsernameTaken) => users.find(self.name.as_str()).await?.ok_or(AccountsError::Contended),
            Err(error) => Err(error),
        }
    }
}
