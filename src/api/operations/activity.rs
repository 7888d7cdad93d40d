//! Counters of use that another gateway has gathered.

use http::{Response, StatusCode};
use serde_json::Value;

use crate::{
    api::{context::Context, error::ApiError, json_body, reply, reply_body::ReplyBody, request::Request},
    kv::StoreUse,
};

/// Counts `{"stores": [{"id", "stats", "modifiedAt", "accessedAt"}, ...]}`, to be written down with the next flush.
pub async fn count(context: &Context, request: Request<'_>) -> Result<Response<ReplyBody>, ApiError> {
    let mut body = json_body::object(request.headers, request.body).await?.unwrap_or_default();
    let stores = body.remove("stores").unwrap_or(Value::Null);
    let stores: Vec<StoreUse> = serde_json::from_value(stores)
        .map_err(|error| ApiError::bad_request("invalid-input", format!("Invalid counters of stores' use: {error}")))?;
    context.catalog.count_use(&stores);
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
