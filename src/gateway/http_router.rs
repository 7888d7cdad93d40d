//! All HTTP services: health, the console, and the API for everything else, below the path of the public URL.
//!
//! Proxies either keep or strip this path, and both work. A request path that begins with it and continues with a
//! route of Larder is taken as relative to it; any other is taken as it is.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{Either, Full};
use serde_json::json;

use crate::{
    api::{Api, ApiOptions, ResponseBody},
    clock::Clock,
    config::Config,
    console::Console,
    server::{ClientAddr, Handler, RequestBody, allow_any_origin},
};

use super::{
    health::Health,
    observability::{Access, Accesses, LoggedBody},
    start::StartError,
};

/// Response after a panic in the handler of a request, in the error format of the API.
const PANICKED: &str =
    r#"{"error":{"type":"internal-server-error","message":"The server failed. Its log tells why."}}"#;

/// Response to a request without a host.
const WITHOUT_HOST: &str =
    r#"{"error":{"type":"invalid-request","message":"The request must have one Host header, with a host in it."}}"#;

/// All HTTP services.
#[derive(Debug)]
pub(super) struct HttpRouter {
    health: Arc<Health>,
    api: Api,
    accesses: Option<Arc<Accesses>>,
    base: ArcSwap<BasePath>,
}

impl HttpRouter {
    /// Returns all services, with the access log of the configuration, which uses `clock`.
    pub(super) fn from_config(
        config: &Config,
        clock: &Arc<dyn Clock>,
        health: &Arc<Health>,
        api: Api,
    ) -> Result<Arc<Self>, StartError> {
        let accesses = Accesses::from_config(config, clock)?;
        let base = ArcSwap::from_pointee(BasePath::from_config(config));
        Ok(Arc::new(Self { health: Arc::clone(health), api, accesses, base }))
    }

    /// Writes the queued lines of the access log.
    pub(super) fn close(&self) {
        if let Some(accesses) = &self.accesses {
            accesses.close();
        }
    }

    fn access<B>(&self, request: &mut Request<B>, source: &ClientAddr) -> Option<Box<Access>> {
        self.accesses.as_ref().map(|accesses| accesses.begin(request, source))
    }

    /// Applies other options from the next request on.
    pub(super) fn reconfigure(&self, options: ApiOptions, base: BasePath) {
        self.api.reconfigure(options);
        self.base.store(Arc::new(base));
    }
}

impl Handler for HttpRouter {
    type Body = LoggedBody<Either<Full<Bytes>, ResponseBody>>;

    async fn handle(&self, mut request: Request<RequestBody>, source: ClientAddr) -> Response<Self::Body> {
        let access = self.access(&mut request, &source);
        let base = self.base.load_full();
        if let Some(inside) = base.inside(request.uri()) {
            *request.uri_mut() = inside;
        }
        let answer = if let Some(answer) = self.health.answer(request.method(), request.uri().path()).await {
            answer.map(|text| Either::Left(Full::from(text)))
        } else if let Some(mut answer) = root_response(&request, base.as_str()) {
            allow_any_origin(answer.headers_mut());
            answer.map(|text| Either::Left(Full::from(text)))
        } else {
            match Console::respond(&request, base.as_str()) {
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

    fn without_host(&self, mut request: Request<RequestBody>, source: &ClientAddr) -> Response<Self::Body> {
        let access = self.access(&mut request, source);
        logged(refusal(StatusCode::BAD_REQUEST, WITHOUT_HOST), access)
    }
}

type Answer = Either<Full<Bytes>, ResponseBody>;

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

/// Prefixes of the paths that Larder serves, each a whole segment or more.
const ROUTES: [&str; 4] = ["/v2", "/larder/v1", "/console", "/health"];

/// The path below which a proxy serves Larder; usually empty.
#[derive(Debug, Default)]
pub(super) struct BasePath(String);

impl BasePath {
    /// Returns the path of the public URL.
    pub(super) fn from_config(config: &Config) -> Self {
        Self(config.public_url.as_ref().map(|url| url.path().to_owned()).unwrap_or_default())
    }

    /// Returns the path without a trailing slash.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the request URI relative to the path, if the proxy has kept the path.
    pub(super) fn inside(&self, uri: &Uri) -> Option<Uri> {
        if self.0.is_empty() {
            return None;
        }
        let rest = uri.path_and_query()?.as_str().strip_prefix(&self.0)?;
        let (path, _) = rest.split_once('?').unwrap_or((rest, ""));
        let is_of =
            |route: &&str| path.strip_prefix(*route).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            "" => format!("/{rest}").parse().ok(),
            "/" | "/metrics" => rest.parse().ok(),
            _ => ROUTES.iter().any(is_of).then(|| rest.parse().ok())?,
        }
    }
}

/// Answers a request for `/`, below the path `base`; `None` if the request is for something else.
pub(super) fn root_response<B>(request: &Request<B>, base: &str) -> Option<Response<String>> {
    if request.uri().path() != "/" || ![Method::GET, Method::HEAD].contains(request.method()) {
        return None;
    }
    let mut reply = if wants_page(request) {
        let mut reply = Response::new(String::new());
        *reply.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        let console =
            HeaderValue::try_from(format!("{base}/console/")).unwrap_or(HeaderValue::from_static("/console/"));
        reply.headers_mut().insert(header::LOCATION, console);
        reply
    } else {
        let links = json!({
            "api": format!("{base}/v2"),
            "description": format!("{base}/v2/openapi.json"),
            "console": format!("{base}/console/"),
            "health": format!("{base}/health/ready"),
        });
        let body = json!({ "name": "Larder", "version": env!("CARGO_PKG_VERSION"), "links": links });
        let mut reply = Response::new(format!("{body}\n"));
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        reply.headers_mut().insert(header::CONTENT_TYPE, json);
        reply
    };
    // The response depends on `Accept`.
    reply.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(reply)
}

/// Returns whether the client is a browser that wants a page.
fn wants_page<B>(request: &Request<B>) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT);
    accepted.iter().any(|value| value.as_bytes().windows(9).any(|part| part == b"text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(base: &str, path: &str) -> Option<String> {
        BasePath(base.to_owned()).inside(&path.parse().expect("a path")).map(|uri| uri.to_string())
    }

    #[test]
    fn what_goes_on_as_a_path_of_ours_is_inside_and_all_else_stays() {
        for (path, expected) in [
            ("/larder", Some("/")),
            ("/larder?a=b", Some("/?a=b")),
            ("/larder/", Some("/")),
            ("/larder/v2/key-value-stores?name=a", Some("/v2/key-value-stores?name=a")),
            ("/larder/console/", Some("/console/")),
            ("/larder/health/ready", Some("/health/ready")),
            ("/larder/metrics", Some("/metrics")),
            ("/larder/larder/v1/users", Some("/larder/v1/users")),
            // The admin API's own path begins with the same word.
            ("/larder/v1/users", None),
            ("/v2/key-value-stores", None),
            ("/larders/v2", None),
            ("/larder/v2x", None),
        ] {
            assert_eq!(inside("/larder", path).as_deref(), expected, "{path}");
        }
        assert_eq!(inside("/a/b", "/a/b/v2/users/me").as_deref(), Some("/v2/users/me"));
        assert_eq!(inside("", "/v2/users/me"), None);
    }

    fn ask(method: Method, path: &str, accept: &str, base: &str) -> Option<Response<String>> {
        let request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept).body(());
        root_response(&request.expect("a request"), base)
    }

    #[test]
    fn browsers_are_redirected_to_the_console_and_other_clients_get_a_description() {
        for base in ["", "/larder"] {
            let page = ask(Method::GET, "/", "text/html,*/*;q=0.8", base).expect("a response");
            assert_eq!(page.status(), StatusCode::TEMPORARY_REDIRECT);
            assert_eq!(page.headers()[header::LOCATION], format!("{base}/console/"));
            let told = ask(Method::GET, "/", "*/*", base).expect("a response");
            let told: serde_json::Value = serde_json::from_str(told.body()).expect("JSON");
            assert_eq!(
                (told["name"].as_str(), told["version"].as_str()),
                (Some("Larder"), Some(env!("CARGO_PKG_VERSION")))
            );
            assert_eq!(told["links"]["api"], format!("{base}/v2"));
        }
        assert!(ask(Method::POST, "/", "*/*", "").is_none() && ask(Method::GET, "/v2", "text/html", "").is_none());
    }
}
