//! Routes of the administration API (an addition to the platform's API): from method and path below `/larder/v1` to a
//! call. Pure: no look-ups.

use crate::{api::message::error::ApiError, auth::AccountAction};

/// Operation on accounts, tokens or the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountCall {
    /// List all accounts.
    ListUsers,
    /// Create an account.
    CreateUser,
    /// Get an account, by id or name.
    GetUser(String),
    /// Change the settings of an account.
    UpdateUser(String),
    /// List the tokens of an account.
    ListTokens,
    /// Create a token.
    CreateToken,
    /// Revoke a token.
    RevokeToken(String),
    /// Create a token like this one, and end this one after a while.
    ReplaceToken(String),
    /// Get the state of the clock.
    GetClock,
    /// Confirm that the time is right.
    AcceptClock,
}

impl AccountCall {
    /// Returns the required right: every user may manage their own tokens; everything else requires the admin.
    pub fn action(&self) -> AccountAction {
        match self {
            Self::ListUsers
            | Self::CreateUser
            | Self::GetUser(_)
            | Self::UpdateUser(_)
            | Self::GetClock
            | Self::AcceptClock => AccountAction::Administer,
            Self::ListTokens | Self::CreateToken | Self::RevokeToken(_) | Self::ReplaceToken(_) => {
                AccountAction::ManageTokens
            }
        }
    }

    /// Returns whether the call changes something.
    pub fn is_change(&self) -> bool {
        match self {
            Self::ListUsers | Self::GetUser(_) | Self::ListTokens | Self::GetClock => false,
            Self::CreateUser
            | Self::UpdateUser(_)
            | Self::CreateToken
            | Self::RevokeToken(_)
            | Self::ReplaceToken(_)
            | Self::AcceptClock => true,
        }
    }
}

/// Parses a call on `users`, `tokens` or `clock` from the decoded segments after `/larder/v1`; `None` if it is none of
/// them.
pub fn parse(method: &str, segments: &[&str]) -> Option<Result<AccountCall, ApiError>> {
    let is_read = matches!(method, "GET" | "HEAD");
    let routed = match (segments, method) {
        (["users"], _) if is_read => Ok(AccountCall::ListUsers),
        (["users"], "POST") => Ok(AccountCall::CreateUser),
        (["users", user], _) if is_read => Ok(AccountCall::GetUser((*user).to_owned())),
        (["users", user], "PUT") => Ok(AccountCall::UpdateUser((*user).to_owned())),
        (["users", _], _) => Err("OPTIONS,GET,HEAD,PUT"),
        (["tokens"], _) if is_read => Ok(AccountCall::ListTokens),
        (["tokens"], "POST") => Ok(AccountCall::CreateToken),
        (["users" | "tokens"], _) => Err("OPTIONS,GET,HEAD,POST"),
        (["tokens", id], "DELETE") => Ok(AccountCall::RevokeToken((*id).to_owned())),
        (["tokens", _], _) => Err("OPTIONS,DELETE"),
        (["tokens", id, "replace"], "POST") => Ok(AccountCall::ReplaceToken((*id).to_owned())),
        (["clock"], _) if is_read => Ok(AccountCall::GetClock),
        (["clock"], _) => Err("OPTIONS,GET,HEAD"),
        (["clock", "accept"], "POST") => Ok(AccountCall::AcceptClock),
        (["tokens", _, "replace"] | ["clock", "accept"], _) => Err("OPTIONS,POST"),
        _ => return None,
    };
    Some(routed.map_err(ApiError::method_not_allowed))
}
