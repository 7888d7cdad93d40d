//! Answers, and their bodies.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;

use crate::storage::{BodyError, ByteStream};

/// The body of an answer. A body that fails breaks the connection off, so that nobody takes a part for the whole.
#[derive(Debug)]
pub struct ReplyBody {
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Bytes),
    Stream { stream: ByteStream, left: Option<u64> },
}

impl ReplyBody {
    /// No bytes.
    pub fn empty() -> Self {
        Self::from(Bytes::new())
    }
}

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> Self {
        Self { content: Content::Bytes(bytes) }
    }
}

impl From<ByteStream> for ReplyBody {
    fn from(stream: ByteStream) -> Self {
        let left = stream.length();
        Self { content: Content::Stream { stream, left } }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.content {
            Content::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Stream { stream, left } => {
                let chunk = ready!(Pin::new(stream).poll_next(context));
                if let (Some(Ok(chunk)), Some(left)) = (&chunk, left) {
                    *left = left.saturating_sub(chunk.len() as u64);
                }
                Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Bytes(bytes) => bytes.is_empty(),
            Content::Stream { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = status;
    response
}

/// An answer whose body is `value` as JSON.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::from(json_bytes(value)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// `value` as JSON. Our own types have string keys and finite numbers, which always have a form in JSON.
pub fn json_bytes<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).map_or_else(|_| Bytes::from_static(b"null"), Bytes::from)
}
