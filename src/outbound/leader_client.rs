//! Requests that a gateway makes to another on its own behalf, not for a client.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;

use super::http_client::{HttpClient, HttpClientError};

/// Client for another gateway, with this gateway's own credentials.
#[derive(Debug)]
pub struct LeaderClient {
    client: Arc<HttpClient>,
    /// The header `Authorization`; marked as sensitive, so that it is never logged.
    authorization: HeaderValue,
}

/// Outcome of a request that got a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RpcOutcome {
    /// Success.
    Success,
    /// The subject of the request does not exist.
    NotFound,
    /// The request was refused, or failed.
    Failed(StatusCode),
}

impl LeaderClient {
    /// Returns a client for `client` with this token; `None` if no header can carry it.
    pub fn new(client: Arc<HttpClient>, token: &str) -> Option<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        authorization.set_sensitive(true);
        Some(Self { client, authorization })
    }

    /// Posts a JSON document. A request that was sent is never repeated.
    pub async fn post(&self, path: &'static str, document: Vec<u8>) -> Result<RpcOutcome, HttpClientError> {
        let mut request = Request::new(Full::new(Bytes::from(document)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(path);
        request.headers_mut().insert(header::AUTHORIZATION, self.authorization.clone());
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut response = self.client.send(request).await?;
        let outcome = match response.head.status {
            status if status.is_success() => RpcOutcome::Success,
            StatusCode::NOT_FOUND => RpcOutcome::NotFound,
            status => RpcOutcome::Failed(status),
        };
        if outcome == RpcOutcome::Success {
            // The connection is reusable only after the body was read to its end.
            while response.body.chunk().await?.is_some() {}
        }
        Ok(outcome)
    }
}
