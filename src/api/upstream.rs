//! Datasets and request queues: not served by Larder, and proxied to an upstream if there is one.
//!
//! An upstream is any server with the platform's API. Larder authenticates there with the upstream's token only: the
//! caller's own token stays here, and authorization has already happened. Bodies stream both ways; no request is sent
//! twice.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header, request::Parts};
use http_body::Body;
use http_body_util::Empty;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::{
    auth::{Token, UpstreamKind, is_upstream_id},
    outbound::{ClientResponse, HttpClient, HttpClientError, RELAYED},
    runs::UpstreamIds,
    storage::{BodyError, BoxError},
    telemetry::{request_context::trace_header, trace::TRACEPARENT},
};

use super::{
    leader::{body_stream, end_to_end, without_hop_by_hop},
    message::{browser_policy, error::ApiError, response::ResponseBody},
};

/// Fields of a request that authenticate the caller to Larder.
const CALLER_CREDENTIALS: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];

/// Fields of a response that concern only the upstream and its own clients.
const UPSTREAM_ONLY_FIELDS: [HeaderName; 2] = [header::SET_COOKIE, header::WWW_AUTHENTICATE];

/// Parameter that authenticates the caller, like the header field.
const TOKEN_PARAMETER: &str = "token";

/// Parameter that overrides the method of a `GET`.
const METHOD_PARAMETER: &str = "method";

/// Maximum length of a response with a new dataset or request queue.
const MAX_OBJECT_BYTES: u64 = 64 * 1024;

/// Response with a new dataset or request queue.
#[derive(Deserialize)]
struct CreatedResponse {
    data: CreatedObject,
}

#[derive(Deserialize)]
struct CreatedObject {
    id: String,
}

/// Upstream for datasets and request queues.
#[derive(Debug)]
pub struct Upstream {
    peer: Arc<HttpClient>,
    /// Header `Authorization`, marked as sensitive, so that it is never shown.
    authorization: HeaderValue,
}

impl Upstream {
    /// Returns the upstream at `peer` with this token; `None` if the token is invalid in a header.
    pub fn new(peer: Arc<HttpClient>, token: &Token) -> Option<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.reveal())).ok()?;
        authorization.set_sensitive(true);
        Some(Self { peer, authorization })
    }

    /// Returns the upstream's response to an authorized request, with `path` instead of the request's own path.
    pub async fn forward<B>(&self, path: &str, head: &Parts, body: B) -> Result<Response<ResponseBody>, ApiError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if head.headers.contains_key(RELAYED) {
            return Err(ApiError::proxy_loop());
        }
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = target(path, head.uri.query())?;
        let mut headers = end_to_end(&head.headers)?;
        for name in CALLER_CREDENTIALS {
            headers.remove(name);
        }
        *request.headers_mut() = headers;
        let received = self.send(request).await?;
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = received.head.status;
        let mut headers = without_hop_by_hop(received.head.headers);
        headers.remove(header::CONTENT_LENGTH);
        for name in UPSTREAM_ONLY_FIELDS {
            headers.remove(name);
        }
        browser_policy::add_sandbox_headers_to_proxied(&mut headers);
        *response.headers_mut() = headers;
        *response.body_mut() = body_stream(received.body).into();
        Ok(response)
    }

    /// Creates an unnamed dataset and an unnamed request queue for a run.
    pub async fn create_for_run(&self) -> Result<UpstreamIds, ApiError> {
        let (dataset, request_queue) =
            tokio::try_join!(self.create(UpstreamKind::Dataset), self.create(UpstreamKind::RequestQueue))?;
        Ok(UpstreamIds { dataset, request_queue })
    }

    async fn create(&self, kind: UpstreamKind) -> Result<String, ApiError> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target(&format!("/v2/{}", kind.collection()), None)?;
        let response = self.send(request).await?;
        if !response.head.status.is_success() {
            return Err(ApiError::upstream_failed(format!(
                "the upstream responded with {} to POST /v2/{}",
                response.head.status,
                kind.collection()
            )));
        }
        let object =
            body_stream(response.body).into_bytes(MAX_OBJECT_BYTES).await.map_err(ApiError::upstream_failed)?;
        let CreatedResponse { data } = serde_json::from_slice(&object).map_err(ApiError::upstream_failed)?;
        if is_upstream_id(&data.id) {
            Ok(data.id)
        } else {
            Err(ApiError::upstream_failed("the upstream returned an invalid id"))
        }
    }

    /// Sends a request with the upstream's token.
    async fn send<B>(&self, mut request: Request<B>) -> Result<ClientResponse, ApiError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        request.headers_mut().insert(header::AUTHORIZATION, self.authorization.clone());
        request.headers_mut().extend(trace_header().map(|header| (TRACEPARENT, header)));
        self.peer.send(request).await.map_err(|error| match error {
            HttpClientError::Request => BodyError::Aborted.into(),
            error @ (HttpClientError::Unreachable(_) | HttpClientError::NoConnection) => {
                ApiError::upstream_unavailable(error)
            }
            error @ (HttpClientError::Silent | HttpClientError::Broken(_)) => ApiError::upstream_failed(error),
        })
    }
}

/// Returns whether a request only reads, on any server.
pub fn is_read(head: &Parts) -> bool {
    let mut parameters = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    matches!(head.method, Method::GET | Method::HEAD)
        && !parameters.any(|(name, _)| name.eq_ignore_ascii_case(METHOD_PARAMETER))
}

/// Returns the target at the upstream: the path unchanged, and the query without the caller's token.
fn target(path: &str, query: Option<&str>) -> Result<Uri, ApiError> {
    // The upstream's token may have more rights than this request needs, so no server may read the path as a different
    // one.
    if path.split('/').any(is_ambiguous) {
        return Err(ApiError::bad_request("invalid-request", "The path of the request is ambiguous"));
    }
    let is_kept = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name);
        !name.is_some_and(|name| name.eq_ignore_ascii_case(TOKEN_PARAMETER))
    };
    let kept: Vec<&str> = query.unwrap_or_default().split('&').filter(is_kept).collect();
    let query = kept.join("&");
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    target.parse().map_err(|_| ApiError::bad_request("invalid-request", "The path of the request is malformed"))
}

/// Returns whether some server might read a segment as one that leads upwards, or as another after decoding twice.
fn is_ambiguous(segment: &str) -> bool {
    let decoded = percent_decode_str(segment).decode_utf8_lossy();
    decoded.contains(['%', ';']) || decoded.split(['/', '\\']).any(|piece| piece == "." || piece == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_token_is_taken_out_of_the_query_however_it_is_written() {
        for (given, passed) in [
            ("/v2/datasets", "/v2/datasets"),
            ("/v2/datasets?token=secret", "/v2/datasets"),
            ("/v2/datasets?a=1&token=secret&b=%20+", "/v2/datasets?a=1&b=%20+"),
            ("/v2/datasets?%74oken=secret&TOKEN=secret&token", "/v2/datasets"),
            ("/v2/datasets?tokens=1&atoken=2", "/v2/datasets?tokens=1&atoken=2"),
        ] {
            let uri: Uri = given.parse().expect("a URI");
            assert_eq!(target(uri.path(), uri.query()).expect(given).to_string(), passed, "{given}");
        }
    }

    #[test]
    fn no_path_can_be_taken_for_another() {
        for path in ["/v2/datasets/../acts", "/v2/datasets/%2e%2E/acts", "/v2/datasets/a%2f..%2f..", "/v2/datasets/."]
            .into_iter()
            .chain(["/v2/datasets/%252e%252e/acts", "/v2/datasets/..%5cacts", "/v2/datasets/..;/acts"])
        {
            assert!(target(path, None).is_err(), "{path}");
        }
        for path in ["/v2/datasets/jane~a..b/items", "/v2/datasets/jane%2Fshop", "/v2/request-queues/a/requests/..."] {
            assert!(target(path, None).is_ok(), "{path}");
        }
    }
}
