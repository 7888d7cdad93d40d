//! Adapter for the AWS SDK to our HTTP client: one pool, one TLS configuration, one set of limits.

use std::sync::Arc;

use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use larder_runtime::telemetry::CallClass;

use super::http1::{Endpoint, Http1Client, Http1Error, Http1Request, RequestBody};
use crate::BoxError;

/// Maximum bytes of a response to the SDK: it requests documents, not objects.
const MAX_RESPONSE_BYTES: u64 = 16 * 1024 * 1024;

/// Header fields of a single connection, which our client sets itself.
const CONNECTION_FIELDS: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

/// Our HTTP client behind the SDK's interface.
#[derive(Debug, Clone)]
pub struct SdkConnector {
    http: Arc<Http1Client>,
    is_billed: bool,
}

impl SdkConnector {
    /// Adapts `http` for calls of the object store.
    pub fn for_object_store(http: Arc<Http1Client>) -> Self {
        Self { http, is_billed: true }
    }

    /// Adapts `http` for calls of credential sources.
    pub fn for_credential_chain(http: Arc<Http1Client>) -> Self {
        Self { http, is_billed: false }
    }
}

impl HttpClient for SdkConnector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for SdkConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { http, is_billed } = self.clone();
        HttpConnectorFuture::new(async move { exchange(&http, &request, is_billed).await })
    }
}

async fn exchange(http: &Http1Client, request: &HttpRequest, is_billed: bool) -> Result<HttpResponse, ConnectorError> {
    let (endpoint, mut request) = translate(request, is_billed).map_err(ConnectorError::user)?;
    let response = http.send(&endpoint, &mut request).await.map_err(connector_error)?;
    let status = StatusCode::try_from(response.head.status).map_err(|error| ConnectorError::io(error.into()))?;
    let head = response.head.clone();
    let body = response.into_bytes(MAX_RESPONSE_BYTES).await.map_err(connector_error)?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    for (name, value) in head.fields() {
        // The body is complete now, however it was framed.
        if name.eq_ignore_ascii_case("transfer-encoding") {
            continue;
        }
        response
            .headers_mut()
            .try_append(name.to_ascii_lowercase(), value.to_owned())
            .map_err(|error| ConnectorError::io(error.into()))?;
    }
    Ok(response)
}

fn translate(request: &HttpRequest, is_billed: bool) -> Result<(Endpoint, Http1Request), BoxError> {
    let uri: http::Uri = request.uri().parse()?;
    let scheme = uri.scheme_str().ok_or("the SDK sends no scheme")?;
    let authority = uri.authority().ok_or("the SDK sends no host")?;
    let endpoint: Endpoint = format!("{scheme}://{authority}").parse()?;
    let body = request.body().bytes().ok_or("the SDK sends a stream")?;
    let mut head = String::new();
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    head.extend([request.method(), " ", path, " HTTP/1.1\r\nhost: ", &endpoint.authority(), "\r\n"]);
    for (name, value) in request.headers() {
        if !CONNECTION_FIELDS.contains(&name) {
            head.extend([name, ": ", value, "\r\n"]);
        }
    }
    if request.headers().get("accept-encoding").is_none() {
        head.push_str("accept-encoding: identity\r\n");
    }
    if !body.is_empty() || matches!(request.method(), "PUT" | "POST") {
        head.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    head.push_str("\r\n");
    let body = RequestBody::Bytes(Bytes::copy_from_slice(body));
    let is_head = request.method() == "HEAD";
    let class = is_billed.then(|| CallClass::for_request(request.method(), uri.query().unwrap_or_default()));
    let attempt = attempt_number(request.headers().get("amz-sdk-request"));
    Ok((endpoint, Http1Request { head: head.into(), body, awaits_continue: false, is_head, class, attempt }))
}

/// Returns the number of an attempt from the SDK's header, `attempt=2; max=3`.
fn attempt_number(header: Option<&str>) -> u32 {
    let number = header.and_then(|header| header.split(';').find_map(|part| part.trim().strip_prefix("attempt=")));
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

fn connector_error(error: Http1Error) -> ConnectorError {
    match error {
        Http1Error::Timeout { .. } => ConnectorError::timeout(error.into()),
        Http1Error::Connect { .. }
        | Http1Error::NoTls { .. }
        | Http1Error::Broken { .. }
        | Http1Error::Malformed(_)
        | Http1Error::Body(_) => ConnectorError::io(error.into()),
    }
}
