//! JSON bodies of requests: small, maybe compressed, and always an object.

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::storage::{BodyError, ByteStream};

use super::{content, error::ApiError, request::limited};

/// The most bytes a JSON body may have once it is decoded: the platform's limit.
const MAX_JSON_BYTES: u64 = 9_437_184;

/// The most bytes of a compressed body: more than any coding makes of one within the limit, and an end to one that goes
/// on and on without ever decoding to much.
const MAX_SENT_BYTES: u64 = 2 * MAX_JSON_BYTES;

/// The object in a body; `None` if the body is empty, whatever its media type says: the JavaScript client sends nothing
/// as a form, the Rust client as nothing at all.
pub async fn object(headers: &HeaderMap, body: ByteStream) -> Result<Option<Map<String, Value>>, ApiError> {
    let coding = content::content_coding(headers)?;
    let announced = body.length();
    let (body, actual) = match coding {
        Some(coding) => (coding.decode(limited(body, MAX_SENT_BYTES)), None),
        None => (body, announced),
    };
    let bytes = body.into_bytes(MAX_JSON_BYTES).await.map_err(|error| match error {
        BodyError::TooLarge { .. } => ApiError::request_too_large(MAX_JSON_BYTES, actual),
        BodyError::Aborted | BodyError::Stalled | BodyError::Malformed(_) | BodyError::Storage(_) => error.into(),
    })?;
    if bytes.is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) | Err(_) => Err(ApiError::bad_request("invalid-request", "POST data must be a JSON object")),
    }
}
