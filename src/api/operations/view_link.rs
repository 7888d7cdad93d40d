//! Links that open a record, or the content of a store, for some minutes (an addition to the platform's API).
//!
//! A browser that opens a resource by itself (an image, a film, a download) sends no token. A caller who may read gets
//! a signature instead, valid for one resource and a short time, also without the right to sign permanent links.

use std::time::Duration;

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::{
    api::{
        context::Context, envelope::Data, error::ApiError, json_body, reply, reply_body::ReplyBody, request::Request,
    },
    auth::{Grant, signature},
    clock::Timestamp,
    kv::RecordKey,
};

/// Default lifetime of such a link, and its maximum for callers who may not sign links.
const LIFETIME: Duration = Duration::from_mins(15);

/// Maximum lifetime of a link: that of an unchanged store.
const LONGEST_LIFETIME: Duration = Duration::from_hours(366 * 24);

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
pub async fn make(context: &Context, grant: &Grant, request: Request<'_>) -> Result<Response<ReplyBody>, ApiError> {
    let body = json_body::object(context, request, grant, &["key", "lifetimeSecs"]).await?;
    let key: Option<RecordKey> = match body.get("key") {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(key.parse()?),
        Some(_) => {
            return Err(ApiError::bad_request("invalid-value", "Invalid value provided: key must be a string"));
        }
    };
    let document = &grant.store().document;
    let signing_key = context.secrets.signing_key(&document.id, document.secret_rotation);
    let longest = if grant.may_write() { LONGEST_LIFETIME } else { LIFETIME };
    let expires_at = context.clock.now().plus(lifetime(body.get("lifetimeSecs"), longest)?);
    let (signature, url) = if let Some(key) = &key {
        let signature = signature::view(&signing_key, &document.id, key, expires_at);
        let url = context.links.record(&document.id, key.as_str(), Some(&signature));
        (signature, url)
    } else {
        let signature = signature::keys(&signing_key, &document.id, Some(expires_at));
        let url = context.links.keys(&document.id, Some(&signature));
        (signature, url)
    };
    Ok(reply::json(StatusCode::CREATED, &Data { data: ViewLink { url, signature, expires_at } }))
}

fn lifetime(asked: Option<&Value>, longest: Duration) -> Result<Duration, ApiError> {
    match asked {
        None | Some(Value::Null) => Ok(LIFETIME),
        Some(value) => json_body::whole_number("lifetimeSecs", value, 1..=longest.as_secs()).map(Duration::from_secs),
    }
}
