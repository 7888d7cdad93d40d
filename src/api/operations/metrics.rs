//! Metrics for Prometheus.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{
    api::{context::Context, reply, reply_body::ReplyBody},
    storage::ByteStream,
};

/// Prometheus' text format.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Returns the current values of all metrics.
pub fn metrics(context: &Context) -> Response<ReplyBody> {
    let mut response = reply::empty(StatusCode::OK);
    *response.body_mut() = ByteStream::from(Bytes::from(context.metrics.render())).into();
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}
