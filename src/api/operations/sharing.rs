//! Access of others to a store (additions to the platform's API): rights of users, and links that open a record or the
//! content of a store for some minutes.
//!
//! A browser that opens a resource by itself (an image, a film, a download) sends no token. A caller who may read gets
//! a signature instead, valid for one resource and a short time, also without the right to sign permanent links.

use std::{sync::Arc, time::Duration};

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::{
    api::{
        audit,
        context::Context,
        message::{
            error::ApiError,
            request::Request,
            response::{self, ResponseBody},
        },
    },
    auth::{Caller, Grant, User, signature},
    clock::Timestamp,
    kv::{GeneralAccess, RecordKey, Right, StoreId, StoreSnapshot, StoreUpdate, UserId},
};

use super::{
    json_body,
    responses::{Data, StoreObject},
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
pub async fn get(context: &Context, grant: &Grant) -> Result<Response<ResponseBody>, ApiError> {
    access_response(context, grant.store(), None).await
}

/// Gives a user a right. Revokes all links to the store if the user thereby loses the right to write, unless
/// `?keepLinks=1` is set.
pub async fn share(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    user: &str,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let keep_links = request.query.flag("keepLinks");
    let body = json_body::read_object(context, request, grant, &["right"]).await?;
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
    context.shared.insert(&user.id, &store).await?;
    let response = change(context, grant, caller, (&user, Some(right)), keep_links).await?;
    // Again: a concurrent call that revoked the right may have deleted the entry meanwhile.
    context.shared.insert(&user.id, &store).await?;
    Ok(response)
}

/// Revokes a user's right. Revokes all links to the store if the user could write, unless `?keepLinks=1` is set.
pub async fn unshare(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    user: &str,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let user = context.user(user).await?;
    let response = change(context, grant, caller, (&user, None), request.query.flag("keepLinks")).await?;
    context.shared.remove(&user.id, &grant.store().document.id).await?;
    Ok(response)
}

/// Revokes all signed links of a store.
pub async fn rotate_signing_key(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
) -> Result<Response<ResponseBody>, ApiError> {
    let update = StoreUpdate { rotate_signing_key: true, ..StoreUpdate::default() };
    let store = context.catalog.update(grant.store().document.id, update).await?;
    log_revoked_links(caller, &store.document.id);
    let grant = grant.rebind(store)?;
    Ok(response::json(StatusCode::OK, &Data { data: StoreObject::new(context, &grant) }))
}

async fn change(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    (user, right): (&User, Option<Right>),
    keep_links: bool,
) -> Result<Response<ResponseBody>, ApiError> {
    let update = StoreUpdate { share: Some((user.id, right)), keep_links, ..StoreUpdate::default() };
    let store = context.catalog.update(grant.store().document.id, update).await?;
    let (user, id, right) = (Some(&user.username), Some(&store.document.id), Some(right.map_or("none", Right::as_str)));
    let details = audit::Details { user, store: id, right, ..audit::Details::default() };
    audit::log(caller, audit::Action::StoreShare, &details);
    let links_revoked = store.document.signing_key_version != grant.store().document.signing_key_version;
    if links_revoked {
        log_revoked_links(caller, &store.document.id);
    }
    access_response(context, &store, Some(links_revoked)).await
}

fn log_revoked_links(caller: &Caller, store: &StoreId) {
    let details = audit::Details { store: Some(store), ..audit::Details::default() };
    audit::log(caller, audit::Action::StoreRevokeLinks, &details);
}

async fn access_response(
    context: &Context,
    store: &Arc<StoreSnapshot>,
    links_revoked: Option<bool>,
) -> Result<Response<ResponseBody>, ApiError> {
    let mut users = Vec::with_capacity(store.document.shares.len());
    for (user_id, right) in store.document.shares.iter() {
        let username = context.users.by_id(user_id).await?.map(|user| user.username.to_string());
        users.push(SharedWith { user_id: *user_id, username, right });
    }
    let access = AccessObject { general_access: store.document.general_access, users, links_revoked };
    Ok(response::json(StatusCode::OK, &Data { data: access }))
}

/// Default lifetime of such a link, and its maximum for callers who may not sign links.
const DEFAULT_VIEW_LINK_LIFETIME: Duration = Duration::from_mins(15);

/// Maximum lifetime of a link: that of an unchanged store.
const MAX_VIEW_LINK_LIFETIME: Duration = Duration::from_hours(366 * 24);

/// A link that expires.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ViewLink {
    /// The link, at the public address.
    url: String,
    /// Its signature, for clients that reach this server at another address.
    signature: String,
    /// Time of expiry.
    expires_at: Timestamp,
}

/// Creates a link to the record that `key` of the body names, or else to the list of keys and the ZIP file.
pub async fn make_view_link(
    context: &Context,
    grant: &Grant,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let body = json_body::read_object(context, request, grant, &["key", "lifetimeSecs"]).await?;
    let key: Option<RecordKey> = match body.get("key") {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(key.parse()?),
        Some(_) => {
            return Err(ApiError::bad_request("invalid-value", "Invalid value provided: key must be a string"));
        }
    };
    let document = &grant.store().document;
    let signing_key = context.secrets.signing_key(&document.id, document.signing_key_version);
    let longest = if grant.may_write() { MAX_VIEW_LINK_LIFETIME } else { DEFAULT_VIEW_LINK_LIFETIME };
    let expires_at = context.clock.now().plus(lifetime(body.get("lifetimeSecs"), longest)?);
    let (signature, url) = if let Some(key) = &key {
        let signature = signature::sign_view(&signing_key, &document.id, key, expires_at);
        let url = context.links.record(&document.id, key.as_str(), Some(&signature));
        (signature, url)
    } else {
        let signature = signature::sign_keys(&signing_key, &document.id, Some(expires_at));
        let url = context.links.keys(&document.id, Some(&signature));
        (signature, url)
    };
    Ok(response::json(StatusCode::CREATED, &Data { data: ViewLink { url, signature, expires_at } }))
}

fn lifetime(requested: Option<&Value>, longest: Duration) -> Result<Duration, ApiError> {
    match requested {
        None | Some(Value::Null) => Ok(DEFAULT_VIEW_LINK_LIFETIME),
        Some(value) => json_body::parse_integer("lifetimeSecs", value, 1..=longest.as_secs()).map(Duration::from_secs),
    }
}
