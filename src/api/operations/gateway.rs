//! Calls about the gateway itself: metrics, the API description, the clock, and reports of followers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use crate::{
    api::{
        audit,
        context::Context,
        description::Description,
        message::{
            error::ApiError,
            preconditions::{self, Tag},
            request::Request,
            response::{self, ResponseBody},
        },
    },
    auth::{AccountGrant, Caller},
    clock::Timestamp,
    kv::{StoreId, StoreUsage},
    storage::ByteStream,
};

use super::{json_body, responses::Data};

/// Adds `{"stores": [{"id", "stats", "modifiedAt", "accessedAt"}, ...]}` to the counters, which the next flush writes.
pub async fn merge_usage(
    context: &Context,
    grant: &AccountGrant,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let mut body = json_body::read_object(context, request, grant, &["stores"]).await?;
    let stores = body.remove("stores").unwrap_or(Value::Null);
    let stores: Vec<StoreUsage> = serde_json::from_value(stores)
        .map_err(|error| ApiError::bad_request("invalid-input", format!("Invalid counters of stores' use: {error}")))?;
    context.catalog.merge_usage(&stores);
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// Extends the expiry of the store of `{"store": id}`, which is being changed, to its whole retention from now.
pub async fn extend_expiry(
    context: &Context,
    grant: &AccountGrant,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let body = json_body::read_object(context, request, grant, &["store"]).await?;
    let id: Option<StoreId> = body.get("store").and_then(Value::as_str).and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| ApiError::bad_request("invalid-input", "The body names no store"))?;
    context.catalog.extend_expiry(id).await?;
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// State of the clock.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClockObject {
    time: Timestamp,
    machine_time: Timestamp,
    uptime_secs: u64,
    deletion_suspended: Option<SuspensionObject>,
}

/// Suspension of deletions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SuspensionObject {
    since: Timestamp,
    reason: String,
}

/// Returns the state of the clock.
pub fn clock_state(context: &Context) -> Response<ResponseBody> {
    let guard = context.clock_records.guard();
    let (time, machine_time) = guard.times();
    let suspension = guard.suspension();
    let deletion_suspended = suspension.map(|held| SuspensionObject { since: held.since, reason: held.reason });
    let uptime_secs = guard.uptime().as_secs();
    response::json(StatusCode::OK, &Data { data: ClockObject { time, machine_time, uptime_secs, deletion_suspended } })
}

/// Confirms that the time is right, and returns the state of the clock.
pub async fn accept_clock(context: &Context, caller: &Caller) -> Result<Response<ResponseBody>, ApiError> {
    context.clock_records.accept().await?;
    let (time, _) = context.clock_records.guard().times();
    let details = audit::Details { time: Some(time), ..audit::Details::default() };
    audit::log(caller, audit::Action::ClockAccept, &details);
    Ok(clock_state(context))
}

/// Returns the description, or 304 to a client that has it.
pub fn description(headers: &HeaderMap) -> Response<ResponseBody> {
    let Description { bytes, etag } = Description::get();
    let is_it = |tag: &Tag<'_>| tag.is_any() || tag.record_etag() == etag;
    let has_it = preconditions::etags(headers, &header::IF_NONE_MATCH).is_some_and(|tags| tags.iter().any(is_it));
    let mut response = response::empty(if has_it { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    if !has_it {
        *response.body_mut() = bytes.clone().into();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    let fields = response.headers_mut();
    fields.extend(HeaderValue::try_from(preconditions::entity_tag(etag, false)).ok().map(|tag| (header::ETAG, tag)));
    // Cached, and revalidated on every use: another version of the program has another description.
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Prometheus' text format.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Returns the current values of all metrics.
pub fn metrics(context: &Context) -> Response<ResponseBody> {
    let mut response = response::empty(StatusCode::OK);
    *response.body_mut() = ByteStream::from(Bytes::from(context.metrics.render())).into();
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}
