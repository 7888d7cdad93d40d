//! All HTTP services: health, the console, and the API for everything else.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};

use crate::{
    api::{Api, ApiOptions, ReplyBody},
    clock::Clock,
    config::Config,
    console::Console,
    server::{Handler, RequestBody, Source, allow_any_origin},
};

use super::{
    access::{Access, Accesses, LoggedBody},
    base_path::BasePath,
    error::StartError,
    health::Health,
    root,
};

/// Response after a panic in the handler of a request, in the error format of the API.
const PANICKED: &str =
    r#"{"error":{"type":"internal-server-error","message":"The server failed. Its log tells why."}}"#;

/// Response to a request without a host.
const WITHOUT_HOST: &str =
    r#"{"error":{"type":"invalid-request","message":"The request must have one Host header, with a host in it."}}"#;

/// All HTTP services.
#[derive(Debug)]
pub(super) struct Front {
    health: Arc<Health>,
    api: Api,
    accesses: Option<Arc<Accesses>>,
    base: ArcSwap<BasePath>,
}

impl Front {
    /// Returns all services, with the access log of the configuration, which uses `clock`.
    pub(super) fn of(
        config: &Config,
        clock: &Arc<dyn Clock>,
        health: &Arc<Health>,
        api: Api,
    ) -> Result<Arc<Self>, StartError> {
        let accesses = Accesses::of(config, clock)?;
        let base = ArcSwap::from_pointee(BasePath::of(config));
        Ok(Arc::new(Self { health: Arc::clone(health), api, accesses, base }))
    }

    /// Writes the queued lines of the access log.
    pub(super) fn close(&self) {
        if let Some(accesses) = &self.accesses {
            accesses.close();
        }
    }

    fn access<B>(&self, request: &mut Request<B>, source: &Source) -> Option<Box<Access>> {
        self.accesses.as_ref().map(|accesses| accesses.begin(request, source))
    }

    /// Applies other options from the next request on.
    pub(super) fn reconfigure(&self, options: ApiOptions, base: BasePath) {
        self.api.reconfigure(options);
        self.base.store(Arc::new(base));
    }
}

impl Handler for Front {
    type Body = LoggedBody<Either<Full<Bytes>, ReplyBody>>;

    async fn handle(&self, mut request: Request<RequestBody>, source: Source) -> Response<Self::Body> {
        let access = self.access(&mut request, &source);
        let base = self.base.load_full();
        if let Some(inside) = base.inside(request.uri()) {
            *request.uri_mut() = inside;
        }
        let answer = if let Some(answer) = self.health.answer(request.method(), request.uri().path()).await {
            answer.map(|text| Either::Left(Full::from(text)))
        } else if let Some(mut answer) = root::answer(&request, base.as_str()) {
            allow_any_origin(answer.headers_mut());
            answer.map(|text| Either::Left(Full::from(text)))
        } else {
            match Console::answer(&request, base.as_str()) {
                Some(file) => file.map(|bytes| Either::Left(Full::from(bytes))),
                None => self.api.respond(request, source).await.map(Either::Right),
            }
        };
        logged(answer, access)
    }

    /// The panic hook has logged it.
    fn panicked(&self) -> Response<Self::Body> {
        logged(refusal(StatusCode::INTERNAL_SERVER_ERROR, PANICKED), None)
    }

    fn without_host(&self, mut request: Request<RequestBody>, source: &Source) -> Response<Self::Body> {
        let access = self.access(&mut request, source);
        logged(refusal(StatusCode::BAD_REQUEST, WITHOUT_HOST), access)
    }
}

type Answer = Either<Full<Bytes>, ReplyBody>;

fn logged(answer: Response<Answer>, access: Option<Box<Access>>) -> Response<LoggedBody<Answer>> {
    let access = access.map(|mut access| {
        access.answered(&answer);
        access
    });
    answer.map(|body| LoggedBody::new(body, access))
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Answer> {
    let mut reply = Response::new(Either::Left(Full::from(text)));
    *reply.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    allow_any_origin(reply.headers_mut());
    reply
}
