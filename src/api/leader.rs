//! Forwarding of calls to the leader.
//!
//! Over an object store without conditional writes, exactly one gateway, the leader, performs all writes that depend
//! on what is stored. The other gateways forward such calls unchanged and relay its responses. The leader authorizes:
//! no caller gets more through another gateway than from the leader itself, and a call is forwarded before its token is
//! looked up.
//!
//! After a change the follower invalidates what it has cached of the changed store, so that its client sees its own
//! change. Cache entries are invalidated by time, so that a concurrent read does not bring them back.
//!
//! Expiry is extended through the leader as well, for stores changed through this gateway, which writes no documents.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header, request::Parts};
use http_body::Body;
use serde::Deserialize;
use serde_json::json;

use crate::{
    kv::{self, Catalog, ExtendExpiry, StoreId, StoreName, UserId},
    outbound::{ClientResponseBody, FORWARDED, HttpClient, HttpClientError, LeaderClient, RpcOutcome},
    server::{ClientAddr, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO},
    storage::{BodyError, BoxError, ByteStream},
    telemetry::{request_context::trace_header, trace::TRACEPARENT},
};

use super::{
    message::{error::ApiError, request::REQUEST_ID, response::ResponseBody},
    routing::{
        route::Endpoint,
        routes::{RunCall, RunsCall, StoreAddress, StoreCall},
    },
};

/// Hop-by-hop fields (RFC 9110, 7.6.1), and those that would upgrade the connection.
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Fields that are set anew for the next server: the body's framing, its expectation, and the request's origin.
const REPLACED_FIELDS: [HeaderName; 6] =
    [header::CONTENT_LENGTH, header::EXPECT, header::FORWARDED, FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST];

/// Maximum length of a response that is parsed for the store it names: a store object with its schema.
const MAX_STORE_OBJECT_BYTES: u64 = 1024 * 1024;

/// Effect of a call on this gateway's caches, as far as its path shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalidation {
    /// Nothing in a cache: records, counters.
    None,
    /// The store in the response, and its former address.
    FromResponse(Option<StoreAddress>),
    /// The store at this address, which the response does not contain.
    Store(StoreAddress),
    /// Accounts or tokens.
    Accounts,
    /// Stores, not known which.
    AllStores,
}

/// Returns the effect of a call, if the leader performs it.
pub fn leader_call_invalidation(endpoint: &Endpoint, headers: &HeaderMap) -> Option<Invalidation> {
    match endpoint {
        Endpoint::CreateStore => Some(Invalidation::FromResponse(None)),
        Endpoint::Store(address, StoreCall::Update) => Some(Invalidation::FromResponse(Some(address.clone()))),
        Endpoint::Store(
            address,
            StoreCall::Delete | StoreCall::Share(_) | StoreCall::Unshare(_) | StoreCall::RotateSigningKey,
        ) => Some(Invalidation::Store(address.clone())),
        Endpoint::Account(call) => call.is_change().then_some(Invalidation::Accounts),
        Endpoint::Store(_, StoreCall::PutRecord(_) | StoreCall::DeleteRecord(_)) => {
            let conditions = [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_UNMODIFIED_SINCE];
            conditions.iter().any(|condition| headers.contains_key(condition)).then_some(Invalidation::None)
        }
        Endpoint::MergeUsage | Endpoint::ExtendExpiry => Some(Invalidation::None),
        Endpoint::Runs(call) => run_call_invalidation(call, headers),
        Endpoint::ListStores
        | Endpoint::Proxied(_)
        | Endpoint::CurrentUser
        | Endpoint::Limits
        | Endpoint::MonthlyUsage
        | Endpoint::Session
        | Endpoint::Metrics
        | Endpoint::Description
        | Endpoint::Usage
        | Endpoint::User(_)
        | Endpoint::Store(
            _,
            StoreCall::Get
            | StoreCall::ListKeys
            | StoreCall::DownloadRecords
            | StoreCall::GetRecord(_)
            | StoreCall::HeadRecord(_)
            | StoreCall::DirectUploadUrl(_)
            | StoreCall::MakeViewLink
            | StoreCall::GetUsage
            | StoreCall::GetAccess,
        ) => None,
    }
}

/// Returns the same for a call on runs. Runs report often; the access of a run's store changes with the run, and this
/// gateway may serve it from its cache within the staleness bound.
fn run_call_invalidation(call: &RunsCall, headers: &HeaderMap) -> Option<Invalidation> {
    match call {
        RunsCall::ListRuns(_)
        | RunsCall::Run(
            _,
            RunCall::GetRun | RunCall::GetLog | RunCall::GetUsage | RunCall::Restart | RunCall::Charge,
        ) => None,
        RunsCall::StartRun(_) => Some(Invalidation::AllStores),
        RunsCall::Run(_, RunCall::Finish | RunCall::CreateEnvironment | RunCall::Abort) => Some(Invalidation::Accounts),
        RunsCall::Run(_, RunCall::UpdateRun | RunCall::Metamorph | RunCall::Heartbeat) => Some(Invalidation::None),
        RunsCall::Store(_, call) => {
            let of_store = leader_call_invalidation(&Endpoint::Store(StoreAddress::EmptyName, call.clone()), headers)?;
            let is_nothing = of_store == Invalidation::None;
            Some(if is_nothing { Invalidation::None } else { Invalidation::AllStores })
        }
    }
}

/// Client of the leader, on a gateway that is not the leader.
#[derive(Debug)]
pub struct Leader {
    peer: Arc<HttpClient>,
}

impl Leader {
    /// Returns the client of the leader at `peer`.
    pub fn new(peer: Arc<HttpClient>) -> Self {
        Self { peer }
    }

    /// Returns the leader's response to a request. After a change, `catalog` returns nothing older than the change.
    pub async fn forward<B>(
        &self,
        catalog: &Catalog,
        invalidation: Invalidation,
        head: &Parts,
        body: B,
        id: &HeaderValue,
        source: &ClientAddr,
    ) -> Result<Response<ResponseBody>, ApiError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if head.headers.contains_key(FORWARDED) {
            return Err(ApiError::forwarding_loop());
        }
        let mut request = http::Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
        *request.headers_mut() = end_to_end(&head.headers)?;
        request.headers_mut().insert(REQUEST_ID, id.clone());
        set_forwarded_headers(source, request.headers_mut());
        request.headers_mut().extend(trace_header().map(|header| (TRACEPARENT, header)));
        let received = self.peer.send(request).await.map_err(|error| match error {
            HttpClientError::Request => BodyError::Aborted.into(),
            HttpClientError::Unreachable(_)
            | HttpClientError::NoConnection
            | HttpClientError::Silent
            | HttpClientError::Broken(_) => ApiError::leader_unavailable(error),
        })?;
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = received.head.status;
        *response.headers_mut() = without_hop_by_hop(received.head.headers);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() =
            LeaderResponse { catalog, invalidation, status: received.head.status }.relay_body(received.body).await?;
        Ok(response)
    }
}

/// Sets the headers with the client's address and origin for the leader, as proxies do. The leader trusts them if this
/// gateway is one of its trusted proxies.
fn set_forwarded_headers(source: &ClientAddr, headers: &mut HeaderMap) {
    let mut insert = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    if let Some(ip) = source.ip {
        insert(FORWARDED_FOR, ip.to_string());
    }
    if let Some((scheme, host)) = source.origin.as_ref().and_then(|origin| origin.split_once("://")) {
        insert(FORWARDED_PROTO, scheme.to_owned());
        insert(FORWARDED_HOST, host.to_owned());
    }
}

/// Returns the end-to-end header fields of a request.
pub fn end_to_end(headers: &HeaderMap) -> Result<HeaderMap, ApiError> {
    // To drop a meaningful field because `Connection` names it would change the request: a write could lose its
    // precondition. No client does that in good faith.
    let named =
        headers.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    for name in named.map(<[u8]>::trim_ascii) {
        let name = HeaderName::from_bytes(name).ok();
        if name.is_some_and(|name| headers.contains_key(&name) && !HOP_BY_HOP.contains(&name)) {
            let message = "The Connection header names a header that is meant for the server";
            return Err(ApiError::bad_request("invalid-request", message));
        }
    }
    let mut headers = without_hop_by_hop(headers.clone());
    for name in REPLACED_FIELDS {
        headers.remove(name);
    }
    Ok(headers)
}

/// Returns the header fields without the hop-by-hop ones.
pub fn without_hop_by_hop(mut headers: HeaderMap) -> HeaderMap {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}

/// Response of the leader with the change that it reports, and the caches to invalidate.
struct LeaderResponse<'a> {
    catalog: &'a Catalog,
    invalidation: Invalidation,
    status: StatusCode,
}

/// Fields of a store object that identify the store.
#[derive(Deserialize)]
struct StoreResponse {
    data: StoreFields,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoreFields {
    id: StoreId,
    user_id: UserId,
    name: Option<StoreName>,
}

impl LeaderResponse<'_> {
    /// Relays the body of the response after invalidating the caches.
    async fn relay_body(self, body: ClientResponseBody) -> Result<ResponseBody, ApiError> {
        let length = body.length();
        match self.invalidation {
            Invalidation::FromResponse(former) if self.status.is_success() => {
                if length.is_none_or(|length| length > MAX_STORE_OBJECT_BYTES) {
                    self.catalog.invalidate_all();
                    return Ok(body_stream(body).into());
                }
                let bytes = body_stream(body).into_bytes(MAX_STORE_OBJECT_BYTES).await;
                // The change may have happened even if the response cannot be read.
                let bytes = bytes.map_err(|error| {
                    self.catalog.invalidate_all();
                    ApiError::leader_unavailable(error)
                })?;
                apply_invalidation(self.catalog, &bytes, former);
                Ok(bytes.into())
            }
            Invalidation::Store(StoreAddress::Id(id)) => {
                if let Ok(id) = id.parse() {
                    self.catalog.invalidate(Some(id), &[]);
                }
                Ok(body_stream(body).into())
            }
            Invalidation::Store(
                StoreAddress::OwnName(_) | StoreAddress::OwnerAndName { .. } | StoreAddress::EmptyName,
            ) if self.status.is_success() => {
                self.catalog.invalidate_all();
                Ok(body_stream(body).into())
            }
            Invalidation::AllStores => {
                self.catalog.invalidate_all();
                Ok(body_stream(body).into())
            }
            Invalidation::None | Invalidation::Accounts | Invalidation::FromResponse(_) | Invalidation::Store(_) => {
                Ok(body_stream(body).into())
            }
        }
    }
}

/// Invalidates the changed store in the cache: by id, by its present name and by its former name.
fn apply_invalidation(catalog: &Catalog, response: &[u8], former: Option<StoreAddress>) {
    let Ok(StoreResponse { data: StoreFields { id, user_id, name } }) = serde_json::from_slice(response) else {
        catalog.invalidate_all();
        return;
    };
    let former = match former {
        None | Some(StoreAddress::Id(_) | StoreAddress::EmptyName) => None,
        Some(StoreAddress::OwnName(name) | StoreAddress::OwnerAndName { name, .. }) => name.parse::<StoreName>().ok(),
    };
    let names: Vec<_> = [name, former].into_iter().flatten().map(|name| (user_id, name)).collect();
    catalog.invalidate(Some(id), &names);
}

/// Returns the body of another server's response as a stream.
pub fn body_stream(body: ClientResponseBody) -> ByteStream {
    let length = body.length();
    let chunks = stream::try_unfold(body, async |mut body| {
        let chunk = body.chunk().await.map_err(|error| BodyError::Storage(error.into()))?;
        Ok(chunk.map(|chunk| (chunk, body)))
    });
    ByteStream::new(length, chunks)
}

/// Path of the leader's endpoint.
const EXTENSIONS_PATH: &str = "/larder/v1/expiry-extensions";

/// Client that requests extensions of expiry from the leader.
#[derive(Debug)]
pub struct LeaderExtension {
    catalog: Arc<Catalog>,
    leader_client: Arc<LeaderClient>,
}

impl LeaderExtension {
    /// Returns a client that uses `leader_client`, and invalidates the stores that the leader wrote.
    pub fn new(catalog: Arc<Catalog>, leader_client: Arc<LeaderClient>) -> Self {
        Self { catalog, leader_client }
    }
}

#[async_trait]
impl ExtendExpiry for LeaderExtension {
    async fn extend(&self, id: StoreId) -> kv::Result<()> {
        let document = json!({ "store": id }).to_string().into_bytes();
        match self.leader_client.post(EXTENSIONS_PATH, document).await.map_err(kv::Error::unavailable)? {
            RpcOutcome::Success => self.catalog.refresh(id).await,
            RpcOutcome::NotFound => Err(kv::Error::StoreNotFound),
            RpcOutcome::Failed(status) => Err(kv::Error::unavailable(format!(
                "cannot extend the expiry of a store: the leader responded with {status}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn what_concerns_a_connection_stays_behind() {
        let sent = headers(&[
            ("connection", "keep-alive, Upgrade, HTTP2-Settings, x-not-there"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("expect", "100-continue"),
            ("content-length", "5"),
            ("authorization", "Bearer token"),
            ("if-match", "\"x\""),
            ("x-own", "1"),
        ]);
        let passed = end_to_end(&sent).expect("it is an honest request");
        let kept = headers(&[("authorization", "Bearer token"), ("if-match", "\"x\""), ("x-own", "1")]);
        assert_eq!(passed, kept);
    }

    #[test]
    fn a_field_that_means_something_cannot_be_lost_on_the_way() {
        for named in ["if-match", "close, If-Match", "keep-alive,authorization", "Content-Length"] {
            let sent = headers(&[
                ("connection", named),
                ("if-match", "\"x\""),
                ("authorization", "t"),
                ("content-length", "1"),
            ]);
            assert!(end_to_end(&sent).is_err(), "{named}");
        }
    }

    #[test]
    fn the_leader_makes_what_depends_on_what_is_there() {
        let key = || "a".parse();
        let store = |call| Endpoint::Store(StoreAddress::Id("S".to_owned()), call);
        let plain = HeaderMap::new();
        for condition in ["if-match", "if-none-match", "if-unmodified-since"] {
            let conditional = headers(&[(condition, "*")]);
            assert_eq!(
                leader_call_invalidation(&store(StoreCall::PutRecord(key())), &conditional),
                Some(Invalidation::None)
            );
            assert_eq!(
                leader_call_invalidation(&store(StoreCall::DeleteRecord(key())), &conditional),
                Some(Invalidation::None)
            );
            assert_eq!(leader_call_invalidation(&store(StoreCall::GetRecord(key())), &conditional), None);
        }
        assert_eq!(leader_call_invalidation(&store(StoreCall::PutRecord(key())), &plain), None);
        assert_eq!(leader_call_invalidation(&Endpoint::ListStores, &plain), None);
        assert_eq!(leader_call_invalidation(&Endpoint::CreateStore, &plain), Some(Invalidation::FromResponse(None)));
    }
}
