//! Accounts in the views of their owners and of others: account, limits and current usage, in the platform's format.
//!
//! No fees are charged here, so the sums are zero; [`usage`](mod@super::usage) has the cost of object calls.

use http::{Response, StatusCode};
use jiff::{civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    api::{
        context::Context,
        message::{
            error::ApiError,
            request::Query,
            response::{self, ResponseBody},
        },
    },
    auth::{AccountAction, AccountGrant, Caller, User, authorize_account},
    clock::Timestamp,
    runs::{RunFilter, RunScope, RunStatus},
};

use super::responses::{CurrentUserObject, Data, SessionObject, UserObject};

/// Value for a missing limit: the platform's models require numbers.
const NO_LIMIT: u64 = 1_000_000_000;

/// Statuses of unfinished runs.
const ACTIVE: [RunStatus; 4] = [RunStatus::Ready, RunStatus::Running, RunStatus::TimingOut, RunStatus::Aborting];

/// Returns the caller's limits and current usage.
pub async fn limits(context: &Context, caller: &Caller) -> Result<Response<ResponseBody>, ApiError> {
    let grant = authorize_account(caller, AccountAction::ListStores)?;
    let of = RunScope { owner: grant.user().id, actor: None };
    let active = RunFilter { statuses: ACTIVE.to_vec(), ..RunFilter::default() };
    let active = context.runs.list(&of, &active, false, 0, 1).await?.total;
    let data = json!({
        "monthlyUsageCycle": cycle_of(day_of(context.clock.now())?)?,
        "limits": {
            "maxMonthlyUsageUsd": NO_LIMIT,
            "maxMonthlyActorComputeUnits": NO_LIMIT,
            "maxMonthlyExternalDataTransferGbytes": NO_LIMIT,
            "maxMonthlyProxySerps": 0,
            "maxMonthlyResidentialProxyGbytes": 0,
            "maxActorMemoryGbytes": NO_LIMIT,
            "maxActorCount": NO_LIMIT,
            "maxActorTaskCount": NO_LIMIT,
            "maxConcurrentActorJobs": NO_LIMIT,
            "maxTeamAccountSeatCount": 1,
            "maxScheduleCount": 0,
            "dataRetentionDays": context.catalog.retention().duration().as_secs().div_ceil(24 * 60 * 60),
        },
        "current": {
            "monthlyUsageUsd": 0,
            "monthlyActorComputeUnits": 0,
            "monthlyExternalDataTransferGbytes": 0,
            "monthlyProxySerps": 0,
            "monthlyResidentialProxyGbytes": 0,
            "actorMemoryGbytes": 0,
            "actorCount": 0,
            "actorTaskCount": 0,
            "activeActorJobCount": active,
            "teamAccountSeatCount": 1,
            "scheduleCount": 0,
        },
    });
    Ok(response::json(StatusCode::OK, &Data { data }))
}

/// Returns the caller's usage in the month of the parameter `date`, or in the current one.
pub fn monthly_usage(
    context: &Context,
    caller: &Caller,
    query: &Query<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    authorize_account(caller, AccountAction::ReadUser)?;
    let day = match query.text("date") {
        Some(text) => text.parse().map_err(|_| no_date())?,
        None => day_of(context.clock.now())?,
    };
    let data = json!({
        "usageCycle": cycle_of(day)?,
        "monthlyServiceUsage": {},
        "dailyServiceUsages": [],
        "totalUsageCreditsUsdBeforeVolumeDiscount": 0,
        "totalUsageCreditsUsdAfterVolumeDiscount": 0,
    });
    Ok(response::json(StatusCode::OK, &Data { data }))
}

fn day_of(moment: Timestamp) -> Result<Date, ApiError> {
    let moment = jiff::Timestamp::from_millisecond(moment.as_millis()).map_err(ApiError::internal)?;
    Ok(moment.to_zoned(TimeZone::UTC).date())
}

/// Returns the month that contains a day, from its first millisecond to its last.
fn cycle_of(day: Date) -> Result<Value, ApiError> {
    let begins = |day: Date| day.to_zoned(TimeZone::UTC).map(|moment| moment.timestamp().as_millisecond());
    let cycle = begins(day.first_of_month())
        .and_then(|start| Ok((start, day.last_of_month().tomorrow().and_then(begins)? - 1)))
        .map_err(|_| no_date())?;
    let (start, end) = (Timestamp::from_millis(cycle.0), Timestamp::from_millis(cycle.1));
    Ok(json!({ "startAt": start.to_string(), "endAt": end.to_string() }))
}

fn no_date() -> ApiError {
    ApiError::bad_request("invalid-parameter", "Invalid value of parameter date: it must be a day, as in 2026-01-31")
}

/// Returns the caller's own account.
pub fn current(grant: &AccountGrant) -> Response<ResponseBody> {
    response::json(StatusCode::OK, &Data { data: CurrentUserObject::new(grant.user()) })
}

/// Returns the caller, with the rights of the token (an addition to the platform's API).
pub fn session(grant: &AccountGrant) -> Response<ResponseBody> {
    response::json(StatusCode::OK, &Data { data: SessionObject::new(grant.session()) })
}

/// Returns an account, by id or name.
pub async fn get(context: &Context, user: &str) -> Result<Response<ResponseBody>, ApiError> {
    Ok(object(context.user(user).await?.as_ref()))
}

fn object(user: &User) -> Response<ResponseBody> {
    response::json(StatusCode::OK, &Data { data: UserObject::new(user) })
}
