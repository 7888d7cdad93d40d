//! Everything that is served: health, the console, and the API for all the rest.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};

use crate::{
    api::{Api, ApiOptions, ReplyBody},
    console::Console,
    server::{Handler, RequestBody, Source, allow_any_origin},
};

use super::health::Health;

/// What a client gets whose request made the program panic; in the form of the API's errors.
const PANICKED: &str =
    r#"{"error":{"type":"internal-server-error","message":"The server failed. Its log tells why."}}"#;

/// What a client gets whose request does not say which host it is for.
const WITHOUT_HOST: &str =
    r#"{"error":{"type":"invalid-request","message":"The request must have one Host header, with a host in it."}}"#;

/// Everything that is served.
#[derive(Debug)]
pub(super) struct Front {
    health: Arc<Health>,
    api: Api,
}

impl Front {
    pub(super) fn new(health: Arc<Health>, api: Api) -> Self {
        Self { health, api }
    }

    /// Goes by other options from the next request on.
    pub(super) fn reconfigure(&self, options: ApiOptions) {
        self.api.reconfigure(options);
    }
}

impl Handler for Front {
    type Body = Either<Full<Bytes>, ReplyBody>;

    async fn handle(&self, request: Request<RequestBody>, source: Source) -> Response<Self::Body> {
        if let Some(answer) = self.health.answer(request.method(), request.uri().path()).await {
            return answer.map(|text| Either::Left(Full::from(text)));
        }
        match Console::answer(&request) {
            Some(file) => file.map(|bytes| Either::Left(Full::from(bytes))),
            None => self.api.respond(request, source).await.map(Either::Right),
        }
    }

    fn panicked(&self) -> Response<Self::Body> {
        refusal(StatusCode::INTERNAL_SERVER_ERROR, PANICKED)
    }

    fn without_host(&self) -> Response<Self::Body> {
        refusal(StatusCode::BAD_REQUEST, WITHOUT_HOST)
    }
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Either<Full<Bytes>, ReplyBody>> {
    let mut reply = Response::new(Either::Left(Full::from(text)));
    *reply.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    allow_any_origin(reply.headers_mut());
    reply
}
