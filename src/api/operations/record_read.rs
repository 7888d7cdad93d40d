//! Reading records: whole or in part, as stored or decoded, or not at all where the client has them already.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    api::{
        conditions::{self, Verdict},
        content,
        context::Context,
        error::ApiError,
        negotiation,
        reply::{self, ReplyBody},
        request::Request,
    },
    auth::Grant,
    kv::{self, ContentCoding, RecordKey},
    storage::{ByteRange, ByteStream, Object, ObjectMeta},
};

/// How much of a record is decoded before the answer begins: what cannot be decoded should be an error, not half an
/// answer, and what is small gets a length.
const DECODED_AHEAD: usize = 64 * 1024;

/// A record.
pub async fn get(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let Opened { object, coding, is_part } = open(context, grant, key, request.headers).await?;
    let Object { meta, range, body } = object;
    let mut response = reply::empty(StatusCode::OK);
    match verdict(request.headers, &meta, coding) {
        Verdict::Failed => return Err(ApiError::precondition_failed()),
        Verdict::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            describe_version(response.headers_mut(), &meta, coding);
            return Ok(response);
        }
        Verdict::Send => {}
    }
    describe(response.headers_mut(), &meta, coding, key, request);
    *response.body_mut() = match coding {
        Coding::Decoded(coding) => decode(coding, body).await?.into(),
        Coding::None | Coding::AsStored => body.into(),
    };
    if is_part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, meta.size);
        insert(response.headers_mut(), header::CONTENT_RANGE, content_range);
    }
    Ok(response)
}

/// What [`get`] says of a record, without its bytes.
pub async fn head(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let meta = context.records.head(grant.store(), key).await?;
    let coding = Coding::of(&meta, request.headers);
    let mut response = reply::empty(StatusCode::OK);
    match verdict(request.headers, &meta, coding) {
        Verdict::Failed => return Err(ApiError::precondition_failed()),
        Verdict::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            describe_version(response.headers_mut(), &meta, coding);
            return Ok(response);
        }
        Verdict::Send => {}
    }
    describe(response.headers_mut(), &meta, coding, key, request);
    if !coding.is_decoded() {
        response.headers_mut().insert(header::CONTENT_LENGTH, meta.size.into());
    }
    Ok(response)
}

/// In which coding a record is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// It is stored in none.
    None,
    /// As it is stored, which the client takes.
    AsStored,
    /// Decoded, since the client does not take what it is stored in.
    Decoded(ContentCoding),
}

impl Coding {
    fn of(meta: &ObjectMeta, headers: &HeaderMap) -> Self {
        let Some(stored) = &meta.attributes.content_encoding else { return Self::None };
        match ContentCoding::parse(stored) {
            Some(coding) if !negotiation::accepts(headers, coding) => Self::Decoded(coding),
            // A coding that only another program can have stored is the client's to know.
            Some(_) | None => Self::AsStored,
        }
    }

    fn is_decoded(self) -> bool {
        matches!(self, Self::Decoded(_))
    }
}

/// A record that is about to be sent.
struct Opened {
    object: Object,
    coding: Coding,
    /// Whether a part was asked for and is what `object` holds, be it the whole.
    is_part: bool,
}

/// The record, or the part of it that is asked for, still to be read: one object call, but for a range that turns out not
/// to be meant for what is stored. That is known only of the very version that was opened: another may come meanwhile.
async fn open(context: &Context, grant: &Grant, key: &RecordKey, headers: &HeaderMap) -> Result<Opened, ApiError> {
    let read = |range: Option<ByteRange>| context.records.get(grant.store(), key, range);
    if let Some(range) = conditions::range(headers) {
        match read(Some(range)).await {
            Ok(object) if is_part_wanted(headers, &object.meta) => {
                let coding = Coding::of(&object.meta, headers);
                return Ok(Opened { object, coding, is_part: true });
            }
            Err(error @ kv::Error::RangeNotSatisfiable { .. }) => {
                let meta = context.records.head(grant.store(), key).await?;
                let goes_before = verdict(headers, &meta, Coding::of(&meta, headers)) != Verdict::Send;
                if is_part_wanted(headers, &meta) && !goes_before {
                    return Err(error.into());
                }
            }
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let object = read(None).await?;
    let coding = Coding::of(&object.meta, headers);
    Ok(Opened { object, coding, is_part: false })
}

/// Whether the range of a request is meant for this version of the record, and is one of the bytes that are sent: of a
/// record that has to be decoded all is sent.
fn is_part_wanted(headers: &HeaderMap, meta: &ObjectMeta) -> bool {
    let is_meant = conditions::is_range_meant(headers, meta.etag.as_str(), meta.last_modified);
    !Coding::of(meta, headers).is_decoded() && is_meant.unwrap_or(true)
}

fn verdict(headers: &HeaderMap, meta: &ObjectMeta, coding: Coding) -> Verdict {
    conditions::verdict(headers, meta.etag.as_str(), coding.is_decoded(), meta.last_modified)
}

/// Which version of the record this is.
fn describe_version(headers: &mut HeaderMap, meta: &ObjectMeta, coding: Coding) {
    insert(headers, header::ETAG, conditions::entity_tag(meta.etag.as_str(), coding.is_decoded()));
    insert(headers, header::LAST_MODIFIED, httpdate::fmt_http_date(meta.last_modified.into()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if coding != Coding::None {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

fn describe(headers: &mut HeaderMap, meta: &ObjectMeta, coding: Coding, key: &RecordKey, request: &Request<'_>) {
    describe_version(headers, meta, coding);
    let content_type = &meta.attributes.content_type;
    insert(headers, header::CONTENT_TYPE, content_type.clone());
    content::guard(headers, content_type, key.as_str(), request.query.flag("attachment"));
    match (coding, &meta.attributes.content_encoding) {
        (Coding::AsStored, Some(stored)) => insert(headers, header::CONTENT_ENCODING, stored.clone()),
        (Coding::None | Coding::AsStored | Coding::Decoded(_), _) => {}
    }
    if !coding.is_decoded() {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
}

/// The decoded record. What cannot be decoded is told before the answer begins, unless it goes wrong far behind its
/// beginning: then the answer breaks off.
async fn decode(coding: ContentCoding, stored: ByteStream) -> Result<ByteStream, ApiError> {
    let mut decoded = coding.decode(stored);
    let mut ahead: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while length < DECODED_AHEAD {
        match decoded.next().await {
            Some(Ok(chunk)) => {
                length += chunk.len();
                ahead.push(chunk);
            }
            Some(Err(error)) => return Err(ApiError::internal(error)),
            None => {
                let all = if let [chunk] = ahead.as_slice() { chunk.clone() } else { ahead.concat().into() };
                return Ok(ByteStream::from(all));
            }
        }
    }
    Ok(ByteStream::new(None, stream::iter(ahead.into_iter().map(Ok)).chain(decoded)))
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
}
