//! Records: list keys, read, write, delete.
//!
//! A read returns a record whole or in part, as stored or decoded, or 304 if the client has the current version.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    api::{
        context::Context,
        message::{
            browser_policy::{self, Disposition},
            content,
            error::ApiError,
            preconditions::{self, Tag, Verdict},
            request::{Query, Request, limit_length},
            response::{self, ResponseBody},
        },
    },
    auth::{Grant, signature},
    kv::{self, ContentCoding, KeyQuery, RecordAttributes, RecordKey},
    storage::{BodyError, ByteRange, ByteStream, ETag, MAX_LIST_KEYS, Object, ObjectMeta, Precondition},
};

use super::{
    accounts,
    responses::{Data, KeyItem, KeyList},
};

/// Returns a record, or the requested part of it: one object call, unless the part cannot be sent. Only the record
/// itself shows whether it must be decoded, and whether it is still the version of which the client has other parts.
pub async fn get(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let range = preconditions::range(request.headers);
    let read = |range: Option<ByteRange>| context.records.get(grant.store(), key, range);
    let (object, is_part) = match read(range).await {
        Err(kv::Error::RangeNotSatisfiable { .. }) => (read(None).await?, false),
        read => (read?, range.is_some()),
    };
    let coding = Coding::for_client(&object.meta, request.headers);
    match verdict(request.headers, &object.meta, coding) {
        Verdict::Failed => return Err(ApiError::precondition_failed()),
        Verdict::NotModified => {
            let mut response = response::empty(StatusCode::NOT_MODIFIED);
            set_version_headers(response.headers_mut(), &object.meta, coding);
            return Ok(response);
        }
        Verdict::Send => {}
    }
    match range.filter(|_| may_send_range(context, &object.meta, coding, request.headers)) {
        Some(_) if is_part => Ok(partial_response(object, coding, key, request)),
        Some(range) if range.resolve(object.meta.size).is_none() => {
            Err(ApiError::range_not_satisfiable(object.meta.size))
        }
        None if is_part => full_response(context, read(None).await?, key, request).await,
        Some(_) | None => full_response(context, object, key, request).await,
    }
}

/// Returns a whole record.
async fn full_response(
    context: &Context,
    object: Object,
    key: &RecordKey,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let Object { meta, body, .. } = object;
    let coding = Coding::for_client(&meta, request.headers);
    let mut response = response::empty(StatusCode::OK);
    set_record_headers(response.headers_mut(), &meta, coding, key, request);
    *response.body_mut() = match coding {
        // A record that cannot be decoded must be an error response, not half a body.
        Coding::Decoded(coding) => {
            let decoded = coding.decode(body, context.memory.lease());
            ResponseBody::read_ahead(decoded).await.map_err(|error| match error {
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
fn partial_response(object: Object, coding: Coding, key: &RecordKey, request: &Request<'_>) -> Response<ResponseBody> {
    let Object { meta, range, body } = object;
    let mut response = response::empty(StatusCode::PARTIAL_CONTENT);
    set_record_headers(response.headers_mut(), &meta, coding, key, request);
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
) -> Result<Response<ResponseBody>, ApiError> {
    let meta = context.records.head(grant.store(), key).await?;
    let coding = Coding::for_client(&meta, request.headers);
    let mut response = response::empty(StatusCode::OK);
    match verdict(request.headers, &meta, coding) {
        Verdict::Failed => return Err(ApiError::precondition_failed()),
        Verdict::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            set_version_headers(response.headers_mut(), &meta, coding);
            return Ok(response);
        }
        Verdict::Send => {}
    }
    set_record_headers(response.headers_mut(), &meta, coding, key, request);
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
    fn for_client(meta: &ObjectMeta, headers: &HeaderMap) -> Self {
        let Some(stored) = &meta.attributes.content_encoding else { return Self::None };
        match ContentCoding::parse(stored) {
            Some(coding) if !content::accepts(headers, coding) => Self::Decoded(coding),
            // A coding that only another program can have stored is left to the client.
            Some(_) | None => Self::AsStored,
        }
    }

    fn is_decoded(self) -> bool {
        matches!(self, Self::Decoded(_))
    }
}

/// Returns whether the requested part of the record may be sent.
fn may_send_range(context: &Context, meta: &ObjectMeta, coding: Coding, headers: &HeaderMap) -> bool {
    !coding.is_decoded()
        && preconditions::if_range_matches(headers, meta.etag.as_str(), meta.last_modified, context.clock.now())
}

fn verdict(headers: &HeaderMap, meta: &ObjectMeta, coding: Coding) -> Verdict {
    preconditions::evaluate(headers, meta.etag.as_str(), coding.is_decoded(), meta.last_modified)
}

/// Sets the headers that identify the record's version.
fn set_version_headers(headers: &mut HeaderMap, meta: &ObjectMeta, coding: Coding) {
    insert(headers, header::ETAG, preconditions::entity_tag(meta.etag.as_str(), coding.is_decoded()));
    insert(headers, header::LAST_MODIFIED, httpdate::fmt_http_date(meta.last_modified.into()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if coding != Coding::None {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

fn set_record_headers(
    headers: &mut HeaderMap,
    meta: &ObjectMeta,
    coding: Coding,
    key: &RecordKey,
    request: &Request<'_>,
) {
    set_version_headers(headers, meta, coding);
    let content_type = &meta.attributes.content_type;
    insert(headers, header::CONTENT_TYPE, content_type.clone());
    let disposition = match (request.query.flag("attachment"), request.query.flag("blockRemoteContent")) {
        (true, _) => Disposition::Attachment,
        (false, true) => Disposition::InlineIsolated,
        (false, false) => Disposition::Inline,
    };
    browser_policy::add_sandbox_headers(headers, content_type, key.as_str(), disposition);
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

/// Writes a record, replacing any previous one.
pub async fn put(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let length = request.body.announced_length();
    let upload = Upload { headers: request.headers, length, body: request.body.open(grant) };
    put_upload(context, grant, key, upload).await
}

/// Content that a client sends to be stored.
#[derive(Debug)]
pub struct Upload<'a> {
    /// The header fields about it.
    pub headers: &'a HeaderMap,
    /// Its announced length in bytes, if there is one.
    pub length: Option<u64>,
    /// Its bytes.
    pub body: ByteStream,
}

/// Writes a record from an open body.
pub async fn put_upload(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    upload: Upload<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let limit = context.config.max_record_bytes;
    if upload.length.is_some_and(|length| length > limit) {
        return Err(ApiError::record_too_large(limit));
    }
    let content_coding = content::content_coding(upload.headers)?;
    let content_type = content::content_type(upload.headers)?;
    accounts::check_record_quota(context, grant, key, upload.length).await?;
    let precondition = precondition(context, grant, key, upload.headers).await?;
    let attributes = RecordAttributes { content_type, content_coding };
    let body = limit_length(upload.body, limit);
    let written = context.records.put(grant.store(), key, body, attributes, precondition).await?;

    let mut response = Response::new(ResponseBody::from(Bytes::from_static(b"{}")));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    insert(headers, header::LOCATION, context.links.record(&grant.store().document.id, key.as_str(), None));
    insert(headers, header::ETAG, preconditions::entity_tag(written.etag.as_str(), false));
    Ok(response)
}

/// Deletes a record, if it exists.
pub async fn delete(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    if request.headers.contains_key(header::IF_NONE_MATCH) {
        let message = "A DELETE cannot be conditional on the record's absence";
        return Err(ApiError::bad_request("invalid-parameter", message));
    }
    match precondition(context, grant, key, request.headers).await? {
        // It did not exist at the look-up.
        Precondition::IfAbsent => {}
        precondition @ (Precondition::None | Precondition::IfMatch(_)) => {
            context.records.delete(grant.store(), key, precondition).await?;
        }
    }
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// Returns the precondition of a write from its headers. The object store checks it atomically with the write. Only
/// what it cannot express (`If-Match` with a star or several `ETag`s, dates) costs a read of the record before. An
/// unreadable precondition is rejected: to ignore it could overwrite a record that the client means to keep.
async fn precondition(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    headers: &HeaderMap,
) -> Result<Precondition, ApiError> {
    let named = preconditions::etags(headers, &header::IF_MATCH);
    match (preconditions::etags(headers, &header::IF_NONE_MATCH).as_deref(), named.as_deref()) {
        (None, None) => match preconditions::date_header(headers, &header::IF_UNMODIFIED_SINCE) {
            None => Ok(Precondition::None),
            Some(date) => if_unmodified(head_if_exists(context, grant, key).await?, date),
        },
        (None, Some([tag])) if !tag.is_any() && !tag.is_weak() => {
            Ok(Precondition::IfMatch(ETag::new(tag.record_etag())))
        }
        (None, Some(tags)) => {
            let current = head_if_exists(context, grant, key).await?.ok_or_else(ApiError::precondition_failed)?;
            let is_current = |tag: &Tag<'_>| !tag.is_weak() && tag.record_etag() == current.etag.as_str();
            let is_named = tags.iter().any(|tag| tag.is_any() || is_current(tag));
            is_named.then_some(Precondition::IfMatch(current.etag.clone())).ok_or_else(ApiError::precondition_failed)
        }
        (Some([tag]), None) if tag.is_any() => Ok(Precondition::IfAbsent),
        (Some(_), _) => {
            let message = "The If-None-Match header of a write must be *, without an If-Match header beside it";
            Err(ApiError::bad_request("invalid-parameter", message))
        }
    }
}

/// Returns the precondition for `If-Unmodified-Since`; it holds for a record that does not exist.
fn if_unmodified(current: Option<ObjectMeta>, date: i64) -> Result<Precondition, ApiError> {
    match current {
        None => Ok(Precondition::IfAbsent),
        Some(meta) if preconditions::whole_seconds(meta.last_modified) <= date => Ok(Precondition::IfMatch(meta.etag)),
        Some(_) => Err(ApiError::precondition_failed()),
    }
}

async fn head_if_exists(context: &Context, grant: &Grant, key: &RecordKey) -> Result<Option<ObjectMeta>, ApiError> {
    match context.records.head(grant.store(), key).await {
        Ok(meta) => Ok(Some(meta)),
        Err(kv::Error::RecordNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns a page of a store's keys.
pub async fn list_keys(
    context: &Context,
    grant: &Grant,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let start = request.query.text("exclusiveStartKey").map(Cow::into_owned);
    let limit = request.query.limit(MAX_LIST_KEYS)?;
    let query = KeyQuery { exclusive_start_key: start.clone(), limit, ..key_filters(&request.query) };
    let page = context.records.list_keys(grant.store(), &query).await?;

    let id = &grant.store().document.id;
    let signing_key = context.record_signing_key(grant);
    let items: Vec<KeyItem> = page
        .keys
        .into_iter()
        .map(|listed| {
            let key: Option<RecordKey> = listed.key.parse().ok();
            let signature =
                signing_key.as_deref().zip(key).and_then(|(secret, key)| signature::sign_record(secret, id, &key));
            let record_public_url = context.links.record(id, &listed.key, signature.as_deref());
            KeyItem { key: listed.key, size: listed.size, record_public_url }
        })
        .collect();
    let last_key = items.last().map(|item| item.key.clone());
    let list = KeyList {
        count: items.len(),
        limit,
        exclusive_start_key: start,
        is_truncated: page.is_truncated,
        next_exclusive_start_key: last_key.filter(|_| page.is_truncated),
        items,
    };
    Ok(response::json(StatusCode::OK, &Data { data: list }))
}

/// Returns the requested filters of keys, without start and limit.
pub fn key_filters(query: &Query<'_>) -> KeyQuery {
    KeyQuery {
        prefix: query.text("prefix").map(Cow::into_owned),
        collection: query.text("collection").map(Cow::into_owned),
        exclusive_start_key: None,
        limit: MAX_LIST_KEYS,
    }
}
