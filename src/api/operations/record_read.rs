//! Reads of records: whole or in part, as stored or decoded, or 304 if the client has the current version.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    api::{
        conditions::{self, Verdict},
        content::{self, Opening},
        context::Context,
        error::ApiError,
        negotiation, reply,
        reply_body::ReplyBody,
        request::Request,
    },
    auth::Grant,
    kv::{self, ContentCoding, RecordKey},
    storage::{BodyError, ByteRange, Object, ObjectMeta},
};

/// Returns a record, or the requested part of it: one object call, unless the part cannot be sent. Only the record
/// itself tells whether it must be decoded, and whether it is still the version of which the client has other parts.
pub async fn get(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let range = conditions::range(request.headers);
    let read = |range: Option<ByteRange>| context.records.get(grant.store(), key, range);
    let (object, is_part) = match read(range).await {
        Err(kv::Error::RangeNotSatisfiable { .. }) => (read(None).await?, false),
        read => (read?, range.is_some()),
    };
    let coding = Coding::of(&object.meta, request.headers);
    match verdict(request.headers, &object.meta, coding) {
        Verdict::Failed => return Err(ApiError::precondition_failed()),
        Verdict::NotModified => {
            let mut response = reply::empty(StatusCode::NOT_MODIFIED);
            describe_version(response.headers_mut(), &object.meta, coding);
            return Ok(response);
        }
        Verdict::Send => {}
    }
    match range.filter(|_| is_range_meant(context, &object.meta, coding, request.headers)) {
        Some(_) if is_part => Ok(part(object, coding, key, request)),
        Some(range) if range.resolve(object.meta.size).is_none() => {
            Err(ApiError::range_not_satisfiable(object.meta.size))
        }
        None if is_part => whole(context, read(None).await?, key, request).await,
        Some(_) | None => whole(context, object, key, request).await,
    }
}

/// Returns a whole record.
async fn whole(
    context: &Context,
    object: Object,
    key: &RecordKey,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let Object { meta, body, .. } = object;
    let coding = Coding::of(&meta, request.headers);
    let mut response = reply::empty(StatusCode::OK);
    describe(response.headers_mut(), &meta, coding, key, request);
    *response.body_mut() = match coding {
        // A record that cannot be decoded must be an error response, not half a body.
        Coding::Decoded(coding) => {
            let decoded = coding.decode(body, context.memory.lease());
            ReplyBody::read_ahead(decoded).await.map_err(|error| match error {
                BodyError::NoMemory => error.into(),
                error => ApiError::internal(error),
            })?
        }
        Coding::None | Coding::AsStored => body.into(),
    };
    Ok(response)
}

/// Returns a part of a record, even if it is the whole record: a client that requests ranges must see that they are
/// supported.
fn part(object: Object, coding: Coding, key: &RecordKey, request: &Request<'_>) -> Response<ReplyBody> {
    let Object { meta, range, body } = object;
    let mut response = reply::empty(StatusCode::PARTIAL_CONTENT);
    describe(response.headers_mut(), &meta, coding, key, request);
    let content_range = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), meta.size);
    insert(response.headers_mut(), header::CONTENT_RANGE, content_range);
    *response.body_mut() = body.into();
    response
}

/// Returns the headers of [`get`] without the body.
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

/// Content coding of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// The record is stored without a coding.
    None,
    /// As stored; the client accepts that coding.
    AsStored,
    /// Decoded; the client does not accept the stored coding.
    Decoded(ContentCoding),
}

impl Coding {
    fn of(meta: &ObjectMeta, headers: &HeaderMap) -> Self {
        let Some(stored) = &meta.attributes.content_encoding else { return Self::None };
        match ContentCoding::parse(stored) {
            Some(coding) if !negotiation::accepts(headers, coding) => Self::Decoded(coding),
            // A coding that only another program can have stored is left to the client.
            Some(_) | None => Self::AsStored,
        }
    }

    fn is_decoded(self) -> bool {
        matches!(self, Self::Decoded(_))
    }
}

/// Returns whether the requested part of the record may be sent.
fn is_range_meant(context: &Context, meta: &ObjectMeta, coding: Coding, headers: &HeaderMap) -> bool {
    !coding.is_decoded()
        && conditions::is_range_meant(headers, meta.etag.as_str(), meta.last_modified, context.clock.now())
}

fn verdict(headers: &HeaderMap, meta: &ObjectMeta, coding: Coding) -> Verdict {
    conditions::verdict(headers, meta.etag.as_str(), coding.is_decoded(), meta.last_modified)
}

/// Sets the headers that identify the record's version.
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
    let opening = match (request.query.flag("attachment"), request.query.flag("blockRemoteContent")) {
        (true, _) => Opening::Kept,
        (false, true) => Opening::ShownAlone,
        (false, false) => Opening::Shown,
    };
    content::guard(headers, content_type, key.as_str(), opening);
    match (coding, &meta.attributes.content_encoding) {
        (Coding::AsStored, Some(stored)) => insert(headers, header::CONTENT_ENCODING, stored.clone()),
        (Coding::None | Coding::AsStored | Coding::Decoded(_), _) => {}
    }
    if !coding.is_decoded() {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
