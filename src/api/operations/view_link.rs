//! Links that open a record, or what is in a store, for some minutes (an addition to the platform's API).
//!
//! What a browser opens by itself (an image, a film, a download) sends no token. Whoever may read is given a signature that does
//! instead, good for one thing and for a short time, whether or not he may sign links that last.

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

/// How long such a link opens, unless less was asked for; for who may not sign links also the longest that he can have.
const LIFETIME: Duration = Duration::from_mins(15);

/// The longest that a link can open: as long as stores live at most without a change.
const LONGEST_LIFETIME: Duration = Duration::from_hours(366 * 24);

/// A link that ends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ViewLink {
    /// The link, at the public address.
    url: String,
    /// What makes it open, for whoever reaches this server by another address.
    signature: String,
    /// From when on it is none any more.
    expires_at: Timestamp,
}

/// A link to the record that `key` of the body names, or else to the list of keys and the ZIP file.
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
