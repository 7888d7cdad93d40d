//! Access of other users to a store (an addition to the platform's API).

use std::sync::Arc;

use http::{Response, StatusCode};
use serde::Serialize;

use crate::{
    api::{
        audit,
        context::Context,
        envelope::{Data, StoreObject},
        error::ApiError,
        json_body, reply,
        reply_body::ReplyBody,
        request::Request,
    },
    auth::{Caller, Grant, User},
    kv::{GeneralAccess, Right, StoreId, StoreUpdate, StoreView, UserId},
};

/// Access rights on a store.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessObject {
    general_access: GeneralAccess,
    users: Vec<SharedWith>,
    /// True if this change has revoked all links to the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    links_revoked: Option<bool>,
}

/// Right of one user.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SharedWith {
    user_id: UserId,
    /// `None` if the user no longer exists.
    username: Option<String>,
    right: Right,
}

/// Returns the access rights.
pub async fn get(context: &Context, grant: &Grant) -> Result<Response<ReplyBody>, ApiError> {
    show(context, grant.store(), None).await
}

/// Gives a user a right. Revokes all links to the store if the user thereby loses the right to write, unless
/// `?keepLinks=1` is set.
pub async fn share(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    user: &str,
    request: Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let keeps_links = request.query.flag("keepLinks");
    let body = json_body::object(context, request, grant, &["right"]).await?;
    let right: Option<Right> = body.get("right").and_then(|right| serde_json::from_value(right.clone()).ok());
    let right = right.ok_or_else(|| {
        let names = Right::NAMES.join(", ");
        ApiError::bad_request("invalid-value", format!("Invalid value provided: right must be one of {names}"))
    })?;
    let user = context.user(user).await?;
    if user.id == grant.owner().id {
        return Err(ApiError::bad_request("invalid-value", "Invalid value provided: the store is this user's own"));
    }
    let store = grant.store().document.id;
    context.shared.announce(&user.id, &store).await?;
    let response = change(context, grant, caller, (&user, Some(right)), keeps_links).await?;
    // Again: a concurrent call that revoked the right may have deleted the entry meanwhile.
    context.shared.announce(&user.id, &store).await?;
    Ok(response)
}

/// Revokes a user's right. Revokes all links to the store if the user could write, unless `?keepLinks=1` is set.
pub async fn unshare(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    user: &str,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let user = context.user(user).await?;
    let response = change(context, grant, caller, (&user, None), request.query.flag("keepLinks")).await?;
    context.shared.forget(&user.id, &grant.store().document.id).await?;
    Ok(response)
}

/// Revokes all signed links of a store.
pub async fn rotate_signing_key(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
) -> Result<Response<ReplyBody>, ApiError> {
    let update = StoreUpdate { rotates_secret: true, ..StoreUpdate::default() };
    let store = context.catalog.update(grant.store().document.id, update).await?;
    note_revoked_links(caller, &store.document.id);
    let grant = grant.renewed(store)?;
    Ok(reply::json(StatusCode::OK, &Data { data: StoreObject::new(context, &grant) }))
}

async fn change(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    (user, right): (&User, Option<Right>),
    keeps_links: bool,
) -> Result<Response<ReplyBody>, ApiError> {
    let update = StoreUpdate { share: Some((user.id, right)), keeps_links, ..StoreUpdate::default() };
    let store = context.catalog.update(grant.store().document.id, update).await?;
    let (user, id, right) = (Some(&user.username), Some(&store.document.id), Some(right.map_or("none", Right::as_str)));
    let change = audit::Change { user, store: id, right, ..audit::Change::default() };
    audit::note(caller, audit::Action::StoreShare, &change);
    let links_revoked = store.document.secret_rotation != grant.store().document.secret_rotation;
    if links_revoked {
        note_revoked_links(caller, &store.document.id);
    }
    show(context, &store, Some(links_revoked)).await
}

fn note_revoked_links(caller: &Caller, store: &StoreId) {
    let change = audit::Change { store: Some(store), ..audit::Change::default() };
    audit::note(caller, audit::Action::StoreRevokeLinks, &change);
}

async fn show(
    context: &Context,
    store: &Arc<StoreView>,
    links_revoked: Option<bool>,
) -> Result<Response<ReplyBody>, ApiError> {
    let mut users = Vec::with_capacity(store.document.shares.len());
    for (user_id, right) in store.document.shares.iter() {
        let username = context.users.by_id(user_id).await?.map(|user| user.username.to_string());
        users.push(SharedWith { user_id: *user_id, username, right });
    }
    let access = AccessObject { general_access: store.document.general_access, users, links_revoked };
    Ok(reply::json(StatusCode::OK, &Data { data: access }))
}
