//! Requests, as operations see them.

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Body;
use http_body_util::BodyExt;

use crate::{
    peer::FORWARDED,
    storage::{BodyError, BoxError, ByteStream},
};

use super::{query::Query, streams::Streams, unopened_body::UnopenedBody};

/// Header with the request id: in responses, in logs, and between gateways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of an id accepted from another gateway.
const MAX_ID_LENGTH: usize = 64;

/// Request for an operation.
#[derive(Debug)]
pub struct Request<'a> {
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The parameters.
    pub query: Query<'a>,
    /// The unopened body.
    pub body: UnopenedBody,
}

/// Returns the body of a request as a stream of bytes. Any failure means that the client has gone: the server cuts off
/// stalled bodies. Counted in `streams` until it is dropped.
pub fn byte_stream<B>(body: B, streams: &Streams) -> ByteStream
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    match body.size_hint().exact() {
        Some(0) => ByteStream::empty(),
        length => {
            let under_way = streams.up();
            let chunks = body.into_data_stream().map(move |chunk| {
                let _ = &under_way;
                chunk.map_err(|_| BodyError::Aborted)
            });
            ByteStream::new(length, chunks)
        }
    }
}

/// Returns a body that fails with [`BodyError::TooLarge`] if it is longer than `limit`.
pub fn limited(body: ByteStream, limit: u64) -> ByteStream {
    if body.length().is_some_and(|length| length <= limit) {
        return body;
    }
    let length = body.length();
    let mut read = 0_u64;
    let chunks = body.map(move |chunk| {
        let chunk = chunk?;
        read += chunk.len() as u64;
        if read > limit { Err(BodyError::TooLarge { limit }) } else { Ok(chunk) }
    });
    ByteStream::new(length, chunks)
}

/// Returns the id that the forwarding gateway gave the request, if there is one.
pub fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let is_plain = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        (1..=MAX_ID_LENGTH).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    headers.get(REQUEST_ID).filter(|_| headers.contains_key(FORWARDED)).filter(is_plain).cloned()
}

/// Returns the token of a request, if it has one: from the header, which takes precedence, or from the query.
pub fn token<'a>(headers: &'a HeaderMap, query: &Query<'a>) -> Option<std::borrow::Cow<'a, str>> {
    match headers.get(header::AUTHORIZATION) {
        None => query.text("token"),
        Some(value) => {
            let text = value.to_str().unwrap_or_default();
            let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
            // Any other scheme becomes a token that does not exist.
            Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { text }.into())
        }
    }
}
