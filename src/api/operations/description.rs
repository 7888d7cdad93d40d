//! The description of the API, for programs (an addition to the platform's API).

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::api::{
    conditions::{self, Tag},
    description::Description,
    reply,
    reply_body::ReplyBody,
};

/// Returns the description, or 304 to a client that has it.
pub fn description(headers: &HeaderMap) -> Response<ReplyBody> {
    let Description { bytes, etag } = Description::get();
    let is_it = |tag: &Tag<'_>| tag.is_any() || tag.of_record() == etag;
    let has_it = conditions::tags(headers, &header::IF_NONE_MATCH).is_some_and(|tags| tags.iter().any(is_it));
    let mut response = reply::empty(if has_it { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    if !has_it {
        *response.body_mut() = bytes.clone().into();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    let fields = response.headers_mut();
    fields.extend(HeaderValue::try_from(conditions::entity_tag(etag, false)).ok().map(|tag| (header::ETAG, tag)));
    // Cached, and revalidated on every use: another version of the program has another description.
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
