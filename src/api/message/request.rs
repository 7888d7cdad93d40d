//! Requests as operations see them: header fields, query parameters in the forms of official clients, and a body of
//! which nothing is read before the caller is authorized.

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Body;
use http_body_util::BodyExt;

use crate::{
    auth::{Authorized, PageQuery},
    outbound::FORWARDED,
    storage::{BodyError, BoxError, ByteStream},
};

use super::{error::ApiError, response::InFlightBodies};

/// Header with the request id: in responses, in logs, and between gateways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of an id accepted from another gateway.
const MAX_REQUEST_ID_LENGTH: usize = 64;

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
/// stalled bodies. The stream counts in `in_flight` until it is dropped.
pub fn byte_stream<B>(body: B, in_flight: &InFlightBodies) -> ByteStream
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    match body.size_hint().exact() {
        Some(0) => ByteStream::empty(),
        length => {
            let guard = in_flight.count_incoming();
            let chunks = body.into_data_stream().map(move |chunk| {
                let _ = &guard;
                chunk.map_err(|_| BodyError::Aborted)
            });
            ByteStream::new(length, chunks)
        }
    }
}

/// Returns a body that fails with [`BodyError::TooLarge`] if it is longer than `limit`.
pub fn limit_length(body: ByteStream, limit: u64) -> ByteStream {
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
pub fn forwarded_request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let is_plain = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        (1..=MAX_REQUEST_ID_LENGTH).contains(&bytes.len())
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

/// Maximum decoded length of a JSON body for the platform's calls: the platform's limit.
const PLATFORM_JSON_BYTES: u64 = 9_437_184;

/// Maximum decoded length of a JSON body for Larder's own calls: more than any of them needs.
const OWN_JSON_BYTES: u64 = 64 * 1024;

/// Prefix of the paths of Larder's own calls.
const OWN_PATHS: &str = "/larder/";

/// Unread body of a request. Only an admitted caller can open it, so that a caller without any right costs neither time
/// nor memory.
#[derive(Debug)]
pub struct UnopenedBody {
    bytes: ByteStream,
    max_json_bytes: u64,
}

impl UnopenedBody {
    /// Returns the body of a request for `path`.
    pub fn new(bytes: ByteStream, path: &str) -> Self {
        let max_json_bytes = if path.starts_with(OWN_PATHS) { OWN_JSON_BYTES } else { PLATFORM_JSON_BYTES };
        Self { bytes, max_json_bytes }
    }

    /// Returns the announced length in bytes; `None` if there is none.
    pub fn announced_length(&self) -> Option<u64> {
        self.bytes.length()
    }

    /// Returns its maximum length as JSON, once decoded.
    pub fn max_json_bytes(&self) -> u64 {
        self.max_json_bytes
    }

    /// Opens it for the caller who holds `_admitted`.
    pub fn open(self, _admitted: &impl Authorized) -> ByteStream {
        self.bytes
    }
}

/// Maximum offset: more than any list has, and an exact integer in every client.
const MAX_OFFSET: u64 = (1 << 53) - 1;

/// Query parameters. Unknown ones are ignored, as on the platform.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// Wraps a query string.
    pub fn new(text: Option<&'a str>) -> Self {
        Self(text.unwrap_or_default())
    }

    /// Returns the first value of a parameter; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut pairs = form_urlencoded::parse(self.0.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// Returns a boolean parameter, in the forms that official clients send (`parseBooleanOrNull` of
    /// `@apify/utilities`): 1, 0, true and false, in any letter case. Any other value counts as absent.
    pub fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| {
            let value = value.trim();
            value == "1" || value.eq_ignore_ascii_case("true")
        })
    }

    /// Returns an integer parameter from 0 to `max`; a larger one is rejected.
    pub fn number(&self, name: &str, max: u64) -> Result<Option<u64>, ApiError> {
        match self.integer(name)? {
            Some(number) if number > max => Err(invalid(name, &format!("it must be a whole number from 0 to {max}"))),
            number => Ok(number),
        }
    }

    /// Returns an integer parameter from 0 on, capped at `max`.
    pub fn capped_number(&self, name: &str, max: u64) -> Result<Option<u64>, ApiError> {
        Ok(self.integer(name)?.map(|number| number.min(max)))
    }

    /// Returns an integer from 0 on; an overflow becomes the maximum. Callers bound it.
    fn integer(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid(name, "it must be a whole number from 0 on"));
        }
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    }

    /// Returns the `limit` of a page, capped at `max`; 0 counts as absent.
    pub fn limit(&self, max: usize) -> Result<usize, ApiError> {
        self.limit_or(max, max)
    }

    /// Returns the same with the default `default`.
    pub fn limit_or(&self, default: usize, max: usize) -> Result<usize, ApiError> {
        let limit = self.capped_number("limit", max as u64)?.and_then(|limit| usize::try_from(limit).ok());
        Ok(limit.filter(|limit| *limit > 0).unwrap_or(default))
    }

    /// Returns the `offset` of a page, 0 by default, capped above the length of any list.
    pub fn offset(&self) -> Result<usize, ApiError> {
        let offset = self.capped_number("offset", MAX_OFFSET)?.unwrap_or(0);
        Ok(usize::try_from(offset).unwrap_or(usize::MAX))
    }

    /// Reads `offset`, `limit` and `desc`: a page of at most `max` accounts or tokens.
    pub fn page(&self, max: usize) -> Result<PageQuery, ApiError> {
        let (offset, limit) = (self.offset()?, self.limit(max)?);
        Ok(PageQuery { offset, limit, descending: self.flag("desc") })
    }
}

fn invalid(name: &str, what: &str) -> ApiError {
    ApiError::bad_request("invalid-parameter", format!("Invalid value of parameter {name}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larders_own_calls_take_less_json_than_the_platforms() {
        let limit = |path| UnopenedBody::new(ByteStream::empty(), path).max_json_bytes();
        assert_eq!(limit("/v2/key-value-stores"), PLATFORM_JSON_BYTES);
        assert_eq!(limit("/larder/v1/tokens"), OWN_JSON_BYTES);
    }

    #[test]
    fn a_flag_is_on_in_every_form_that_clients_send() {
        for on in ["1", "true", "TRUE", "%20true+"] {
            assert!(Query::new(Some(&format!("a=b&unnamed={on}"))).flag("unnamed"), "{on}");
        }
        for off in ["0", "false", "", "yes"] {
            assert!(!Query::new(Some(&format!("unnamed={off}"))).flag("unnamed"), "{off}");
        }
    }

    #[test]
    fn a_limit_is_lowered_to_the_most_and_zero_is_none() {
        let limit = |query| Query::new(Some(query)).limit(1000).ok();
        assert_eq!(["", "limit=0", "limit=7", "limit=5000"].map(limit), [1000, 1000, 7, 1000].map(Some));
        assert_eq!(limit("limit=99999999999999999999"), Some(1000));
        assert_eq!(["limit=-1", "limit=x", "limit=1.5", "limit=%2B1"].map(limit), [None; 4]);
    }

    #[test]
    fn no_number_is_above_its_bound() {
        for (text, refused, lowered) in
            [("7", Some(7), 7), ("60", Some(60), 60), ("61", None, 60), ("18446744073709551616", None, 60)]
        {
            let text = format!("n={text}");
            let query = Query::new(Some(&text));
            assert_eq!(
                (query.number("n", 60).ok(), query.capped_number("n", 60).ok()),
                (refused.map(Some), Some(Some(lowered)))
            );
        }
        let offset = |query| Query::new(Some(query)).offset().ok();
        assert_eq!(offset("offset=18446744073709551615"), Some((1 << 53) - 1));
        assert_eq!(["", "offset=7", "offset=-1"].map(offset), [Some(0), Some(7), None]);
    }
}
