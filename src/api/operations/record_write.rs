//! Writes and deletions of records.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    api::{
        conditions::{self, Tag},
        content,
        context::Context,
        error::ApiError,
        quotas, reply,
        reply_body::ReplyBody,
        request::{Request, limited},
    },
    auth::Grant,
    kv::{self, RecordAttributes, RecordKey},
    storage::{ByteStream, ETag, ObjectMeta, Precondition},
};

/// Writes a record, replacing any previous one.
pub async fn put(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    request: Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let length = request.body.announced_length();
    let sent = Sent { headers: request.headers, length, body: request.body.open(grant) };
    put_sent(context, grant, key, sent).await
}

/// Content that a client sends to be stored.
#[derive(Debug)]
pub struct Sent<'a> {
    /// The header fields about it.
    pub headers: &'a HeaderMap,
    /// Its announced length in bytes, if there is one.
    pub length: Option<u64>,
    /// Its bytes.
    pub body: ByteStream,
}

/// Writes a record from an open body.
pub async fn put_sent(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    sent: Sent<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let limit = context.settled.max_record_bytes;
    if sent.length.is_some_and(|length| length > limit) {
        return Err(ApiError::record_too_large(limit));
    }
    let content_coding = content::content_coding(sent.headers)?;
    let content_type = content::content_type(sent.headers)?;
    quotas::admit_record(context, grant, key, sent.length).await?;
    let precondition = precondition(context, grant, key, sent.headers).await?;
    let attributes = RecordAttributes { content_type, content_coding };
    let body = limited(sent.body, limit);
    let written = context.records.put(grant.store(), key, body, attributes, precondition).await?;

    let mut response = Response::new(ReplyBody::from(Bytes::from_static(b"{}")));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    insert(headers, header::LOCATION, context.links.record(&grant.store().document.id, key.as_str(), None));
    insert(headers, header::ETAG, conditions::entity_tag(written.etag.as_str(), false));
    Ok(response)
}

/// Deletes a record, if it exists.
pub async fn delete(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
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
    Ok(reply::empty(StatusCode::NO_CONTENT))
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
    let named = conditions::tags(headers, &header::IF_MATCH);
    match (conditions::tags(headers, &header::IF_NONE_MATCH).as_deref(), named.as_deref()) {
        (None, None) => match conditions::date(headers, &header::IF_UNMODIFIED_SINCE) {
            None => Ok(Precondition::None),
            Some(date) => unmodified(current(context, grant, key).await?, date),
        },
        (None, Some([tag])) if !tag.is_any() && !tag.is_weak() => Ok(Precondition::IfMatch(ETag::new(tag.of_record()))),
        (None, Some(tags)) => {
            let current = current(context, grant, key).await?.ok_or_else(ApiError::precondition_failed)?;
            let is_current = |tag: &Tag<'_>| !tag.is_weak() && tag.of_record() == current.etag.as_str();
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
fn unmodified(current: Option<ObjectMeta>, date: i64) -> Result<Precondition, ApiError> {
    match current {
        None => Ok(Precondition::IfAbsent),
        Some(meta) if conditions::seconds(meta.last_modified) <= date => Ok(Precondition::IfMatch(meta.etag)),
        Some(_) => Err(ApiError::precondition_failed()),
    }
}

async fn current(context: &Context, grant: &Grant, key: &RecordKey) -> Result<Option<ObjectMeta>, ApiError> {
    match context.records.head(grant.store(), key).await {
        Ok(meta) => Ok(Some(meta)),
        Err(kv::Error::RecordNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
}
