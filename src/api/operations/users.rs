//! Accounts: what a caller is told of his own, and of another.

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

/// The caller's own account.
pub fn current(grant: &AccountGrant) -> Response<ReplyBody> {
    reply::json(StatusCode::OK, &Data { data: CurrentUserObject::new(grant.user()) })
}

/// Who the caller is, and what his token is good for (an addition to the platform's API).
pub fn session(grant: &AccountGrant) -> Response<ReplyBody> {
    reply::json(StatusCode::OK, &Data { data: SessionObject::new(grant.session()) })
}

/// An account, by id or name.
pub async fn get(context: &Context, user: &str) -> Result<Response<ReplyBody>, ApiError> {
    Ok(object(context.user(user).await?.as_ref()))
}

fn object(user: &User) -> Response<ReplyBody> {
    reply::json(StatusCode::OK, &Data { data: UserObject::new(user) })
}
