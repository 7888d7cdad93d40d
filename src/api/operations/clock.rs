//! State of the clock, for the admin: suspension of deletions, and confirmation that the time is right (an addition to
//! the platform's API).

use http::{Response, StatusCode};
use serde::Serialize;

use crate::{
    api::{audit, context::Context, envelope::Data, error::ApiError, reply, reply_body::ReplyBody},
    auth::Caller,
    clock::Timestamp,
};

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
pub fn show(context: &Context) -> Response<ReplyBody> {
    let guard = context.clock_records.guard();
    let (time, machine_time) = guard.times();
    let suspension = guard.suspension();
    let deletion_suspended = suspension.map(|held| SuspensionObject { since: held.since, reason: held.reason });
    let uptime_secs = guard.uptime().as_secs();
    reply::json(StatusCode::OK, &Data { data: ClockObject { time, machine_time, uptime_secs, deletion_suspended } })
}

/// Confirms that the time is right, and returns the state of the clock.
pub async fn accept(context: &Context, caller: &Caller) -> Result<Response<ReplyBody>, ApiError> {
    context.clock_records.accept().await?;
    let (time, _) = context.clock_records.guard().times();
    let change = audit::Change { time: Some(time), ..audit::Change::default() };
    audit::note(caller, audit::Action::ClockAccept, &change);
    Ok(show(context))
}
