//! Usage reports of other gateways about stores.

use http::{Response, StatusCode};
use serde_json::Value;

use crate::{
    api::{context::Context, error::ApiError, json_body, reply, reply_body::ReplyBody, request::Request},
    auth::AccountGrant,
    kv::{StoreId, StoreUse},
};

/// Adds `{"stores": [{"id", "stats", "modifiedAt", "accessedAt"}, ...]}` to the counters, which the next flush writes.
pub async fn count(
    context: &Context,
    grant: &AccountGrant,
    request: Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let mut body = json_body::object(context, request, grant, &["stores"]).await?;
    let stores = body.remove("stores").unwrap_or(Value::Null);
    let stores: Vec<StoreUse> = serde_json::from_value(stores)
        .map_err(|error| ApiError::bad_request("invalid-input", format!("Invalid counters of stores' use: {error}")))?;
    context.catalog.count_use(&stores);
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Extends the expiry of the store of `{"store": id}`, which is being changed, to its whole retention from now.
pub async fn renew(
    context: &Context,
    grant: &AccountGrant,
    request: Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let body = json_body::object(context, request, grant, &["store"]).await?;
    let id: Option<StoreId> = body.get("store").and_then(Value::as_str).and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| ApiError::bad_request("invalid-input", "The body names no store"))?;
    context.catalog.renew(id).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
