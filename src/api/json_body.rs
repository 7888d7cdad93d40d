//! JSON bodies of requests: small, maybe compressed, and always an object.

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::{
    auth::Admitted,
    storage::{BodyError, ByteStream},
};

use super::{content, error::ApiError, request::limited, unopened_body::UnopenedBody};

/// Reads the object in a body, for an admitted caller; `None` if the body is empty.
pub async fn object(
    headers: &HeaderMap,
    body: UnopenedBody,
    admitted: &impl Admitted,
) -> Result<Option<Map<String, Value>>, ApiError> {
    let limit = body.max_json_bytes();
    read(headers, body.open(admitted), limit).await
}

/// The object in a body of at most `limit` bytes; `None` if the body is empty, whatever its media type says: the JavaScript client
/// sends nothing as a form, the Rust client as nothing at all.
pub async fn read(headers: &HeaderMap, body: ByteStream, limit: u64) -> Result<Option<Map<String, Value>>, ApiError> {
    let coding = content::content_coding(headers)?;
    let announced = body.length();
    let (body, actual) = match coding {
        // More than any coding makes of a body within the limit, and an end to one that goes on and on without ever decoding to much.
        Some(coding) => (coding.decode(limited(body, 2 * limit)), None),
        None => (body, announced),
    };
    let bytes = body.into_bytes(limit).await.map_err(|error| match error {
        BodyError::TooLarge { .. } => ApiError::request_too_large(limit, actual),
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
