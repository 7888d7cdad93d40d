//! Accounts in the views of their owners and of others.

use http::{Response, StatusCode};

use crate::{
    api::{
        context::Context,
        envelope::{CurrentUserObject, Data, SessionObject, UserObject},
        error::ApiError,
        reply,
        reply_body::ReplyBody,
    },
    auth::{AccountGrant, User},
};

/// Returns the caller's own account.
pub fn current(grant: &AccountGrant) -> Response<ReplyBody> {
    reply::json(StatusCode::OK, &Data { data: CurrentUserObject::new(grant.user()) })
}

/// Returns the caller, with the rights of the token (an addition to the platform's API).
pub fn session(grant: &AccountGrant) -> Response<ReplyBody> {
    reply::json(StatusCode::OK, &Data { data: SessionObject::new(grant.session()) })
}

/// Returns an account, by id or name.
pub async fn get(context: &Context, user: &str) -> Result<Response<ReplyBody>, ApiError> {
    Ok(object(context.user(user).await?.as_ref()))
}

fn object(user: &User) -> Response<ReplyBody> {
    reply::json(StatusCode::OK, &Data { data: UserObject::new(user) })
}
