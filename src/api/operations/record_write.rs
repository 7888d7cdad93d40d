//! Writing and deleting records.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    api::{
        conditions, content,
        context::Context,
        error::ApiError,
        reply,
        reply_body::ReplyBody,
        request::{Request, limited},
    },
    auth::Grant,
    kv::{self, RecordAttributes, RecordKey},
    storage::{ETag, Precondition},
};

/// Writes a record, in place of the one that is there.
pub async fn put(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    request: Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let content_type = content::content_type(request.headers)?;
    let content_coding = content::content_coding(request.headers)?;
    let limit = context.max_record_bytes;
    if request.body.length().is_some_and(|length| length > limit) {
        return Err(ApiError::record_too_large(limit));
    }
    let precondition = precondition(context, grant, key, request.headers).await?;
    let attributes = RecordAttributes { content_type, content_coding };
    let body = limited(request.body, limit);
    let written = context.records.put(grant.store(), key, body, attributes, precondition).await?;

    let mut response = Response::new(ReplyBody::from(Bytes::from_static(b"{}")));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    insert(headers, header::LOCATION, context.links.record(&grant.store().document.id, key.as_str(), None));
    insert(headers, header::ETAG, conditions::entity_tag(written.etag.as_str(), false));
    Ok(response)
}

/// Removes a record, if there is one.
pub async fn delete(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let precondition = precondition(context, grant, key, request.headers).await?;
    if precondition == Precondition::IfAbsent {
        let message = "A DELETE cannot be conditional on the record's absence";
        return Err(ApiError::bad_request("invalid-parameter", message));
    }
    context.records.delete(grant.store(), key, precondition).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// What must hold for a write, as its headers say. The object store checks it when the write takes effect; only what it
/// cannot express (`If-Match` with a star or several validators) costs a look at the record before.
async fn precondition(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    headers: &HeaderMap,
) -> Result<Precondition, ApiError> {
    if let Some(tags) = conditions::tags(headers, &header::IF_MATCH) {
        let strong: Vec<_> = tags.iter().filter(|tag| !tag.is_weak()).collect();
        let etag = match strong.as_slice() {
            [tag] if !tag.is_any() => ETag::new(tag.of_record()),
            tags => {
                let current = match context.records.head(grant.store(), key).await {
                    Ok(meta) => meta.etag,
                    Err(kv::Error::RecordNotFound) => return Err(ApiError::precondition_failed()),
                    Err(error) => return Err(error.into()),
                };
                let is_named = tags.iter().any(|tag| tag.is_any() || tag.of_record() == current.as_str());
                is_named.then_some(current).ok_or_else(ApiError::precondition_failed)?
            }
        };
        return Ok(Precondition::IfMatch(etag));
    }
    match conditions::tags(headers, &header::IF_NONE_MATCH).as_deref() {
        None => Ok(Precondition::None),
        Some([tag]) if tag.is_any() => Ok(Precondition::IfAbsent),
        Some(_) => {
            let message = "The If-None-Match header of a write must be *";
            Err(ApiError::bad_request("invalid-parameter", message))
        }
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
}
