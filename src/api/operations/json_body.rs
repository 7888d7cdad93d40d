//! JSON bodies of requests: small, possibly compressed, and always an object, of which only known members are kept.

use std::ops::{Deref, DerefMut, RangeInclusive};

use http::HeaderMap;
use serde_json::{Map, Value};
use tokio::task::spawn_blocking;

use crate::{
    api::{
        context::Context,
        message::{
            content,
            error::ApiError,
            request::{Request, limit_length},
        },
    },
    auth::Authorized,
    kv,
    storage::{BodyError, ByteStream, Lease},
};

/// Maximum number of bytes parsed on a serving thread: some 100 microseconds of work.
const MAX_INLINE_PARSE_BYTES: usize = 64 * 1024;

/// Maximum memory of the kept members of a body: more than the largest schema needs.
const MAX_MEMBERS_BYTES: u64 = 32 << 20;

/// Known members of a JSON body, with the lease of their memory.
#[derive(Debug, Default)]
pub struct JsonObject {
    members: Map<String, Value>,
    _lease: Option<Lease>,
}

impl Deref for JsonObject {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.members
    }
}

impl DerefMut for JsonObject {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.members
    }
}

/// Reads the object in the body of a request, for an admitted caller; without members if the body is empty. Keeps only
/// the members in `names`.
pub async fn read_object(
    context: &Context,
    request: Request<'_>,
    admitted: &impl Authorized,
    names: &'static [&'static str],
) -> Result<JsonObject, ApiError> {
    let limit = request.body.max_json_bytes();
    let lease = context.memory.lease();
    let members = read_members(request.headers, request.body.open(admitted), limit, names, &lease).await?;
    Ok(members.map_or_else(JsonObject::default, |members| JsonObject { members, _lease: Some(lease) }))
}

/// Reads the object in a body of at most `limit` bytes; `None` if the body is empty, whatever its media type: for no
/// body the JavaScript client sends a form's type, and the Rust client none. `lease` holds its memory.
pub async fn read_members(
    headers: &HeaderMap,
    body: ByteStream,
    limit: u64,
    names: &'static [&'static str],
    lease: &Lease,
) -> Result<Option<Map<String, Value>>, ApiError> {
    let coding = content::content_coding(headers)?;
    let announced = body.length();
    let (body, actual) = match coding {
        // Larger than any encoding of a body within the limit, and an end to a body that grows without ever decoding to
        // much.
        Some(coding) => (coding.decode(limit_length(body, 2 * limit), lease.clone()), None),
        None => (body, announced),
    };
    let bytes = lease.read_all(body, limit).await.map_err(|error| match error {
        BodyError::TooLarge { .. } => ApiError::request_too_large(limit, actual),
        error @ (BodyError::Aborted
        | BodyError::Stalled
        | BodyError::TooSlow
        | BodyError::NoMemory
        | BodyError::Malformed(_)
        | BodyError::Storage(_)) => error.into(),
    })?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let measured = bytes.clone();
    let cost = off_serving_thread(bytes.len(), move || kv::members_cost(&measured, names)).await?;
    if cost > MAX_MEMBERS_BYTES {
        return Err(ApiError::request_too_large(limit, None));
    }
    lease.grow(cost).await?;
    let members = off_serving_thread(bytes.len(), move || kv::members(&bytes, names)).await?;
    lease.shrink_to(cost);
    Ok(Some(members))
}

/// Returns the integer value of `member`, within its bounds; the error names both.
pub fn parse_integer(member: &str, value: &Value, bounds: RangeInclusive<u64>) -> Result<u64, ApiError> {
    value.as_u64().filter(|number| bounds.contains(number)).ok_or_else(|| {
        let (least, most) = bounds.into_inner();
        let message = format!("Invalid value provided: {member} must be a whole number from {least} to {most}");
        ApiError::bad_request("invalid-value", message)
    })
}

/// Runs `parse`, on a blocking thread if there are many bytes to parse.
async fn off_serving_thread<T: Send + 'static>(
    length: usize,
    parse: impl FnOnce() -> serde_json::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let parsed = if length <= MAX_INLINE_PARSE_BYTES {
        parse()
    } else {
        spawn_blocking(parse).await.map_err(ApiError::internal)?
    };
    parsed.map_err(|_| ApiError::bad_request("invalid-request", "POST data must be a JSON object"))
}

#[cfg(test)]
mod tests {
    use std::{mem::size_of, sync::Arc, thread};

    use bytes::Bytes;
    use futures_util::stream;
    use http::{HeaderValue, StatusCode, header};

    use crate::storage::MemoryBudget;

    use super::*;

    /// Member of a gzip stream that decodes to no bytes.
    const EMPTY_MEMBER: [u8; 20] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    fn lease() -> Lease {
        Arc::new(MemoryBudget::default()).lease()
    }

    /// Parses an object with a list of that many numbers; returns its members or the status of the error.
    async fn numbers(count: usize, lease: &Lease) -> Result<Map<String, Value>, StatusCode> {
        let text = format!("{{\"list\":[{}1]}}", "1,".repeat(count - 1));
        let body = ByteStream::from(Bytes::from(text));
        let read = read_members(&HeaderMap::new(), body, 9 << 20, &["list"], lease).await;
        read.map(Option::unwrap_or_default).map_err(|error| error.status())
    }

    #[tokio::test]
    async fn what_many_bytes_say_is_found_out_beside_the_serving_threads() {
        let here = thread::current().id();
        let thread =
            async |length| off_serving_thread(length, || Ok(thread::current().id())).await.expect("it is parsed");
        assert_eq!(thread(MAX_INLINE_PARSE_BYTES).await, here);
        assert_ne!(thread(MAX_INLINE_PARSE_BYTES + 1).await, here);
    }

    #[tokio::test]
    async fn what_members_take_in_memory_is_held_and_has_a_limit() {
        const COUNT: usize = 100_000;
        let (few, many) = (lease(), lease());
        let members = numbers(COUNT, &few).await.expect("it is taken");
        assert_eq!(members["list"].as_array().map(Vec::len), Some(COUNT));
        assert!(few.bytes() >= (COUNT * size_of::<Value>()) as u64, "{} bytes are held", few.bytes());
        assert_eq!(numbers(6 * COUNT, &many).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
    }

    #[tokio::test]
    async fn a_body_that_goes_on_and_decodes_to_nothing_has_an_end() {
        const MAX_BYTES: u64 = 1000;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let refused = async |members: usize| {
            let chunks = stream::iter((0..members).map(|_| Ok(Bytes::from_static(&EMPTY_MEMBER))));
            read_members(&headers, ByteStream::new(None, chunks), MAX_BYTES, &[], &lease())
                .await
                .err()
                .map(|error| error.status())
        };
        assert_eq!(refused(10).await, None);
        assert_eq!(refused(1000).await, Some(StatusCode::PAYLOAD_TOO_LARGE));
    }
}
