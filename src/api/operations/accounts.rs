//! Accounts: for the admin (list, create, get, change; an addition to the platform's API), in the views of their owners
//! and of others (account, limits and current usage, in the platform's format), and checks of their quotas.
//!
//! No fees are charged here, so the sums are zero; [`usage`](mod@super::usage) has the cost of object calls.
//!
//! Usage is counted in the background, so a quota may be exceeded by what is written until the next count. Operations
//! that free space are always allowed; so are overwrites of existing records where the number of records is limited.

use http::{Response, StatusCode};
use jiff::{civil::Date, tz::TimeZone};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        audit,
        context::Context,
        message::{
            error::ApiError,
            request::{Query, Request},
            response::{self, ResponseBody},
        },
        routing::route::AccountCall,
    },
    auth::{
        AccountAccess, AccountAction, AccountGrant, Caller, Grant, NewUser, Quota, QuotaUpdate, User, UserUpdate,
        authorize_account,
    },
    clock::Timestamp,
    kv::{self, Patch, RecordKey, Usage, UserId},
    runs::{RunFilter, RunScope, RunStatus},
};

use super::{
    gateway, json_body,
    responses::{AccountList, CurrentUserObject, Data, SessionObject, UserObject},
    tokens,
};

/// Maximum limit of a quota: an exact integer in every client.
const MAX_QUOTA: u64 = (1 << 53) - 1;

/// Maximum number of accounts on a page.
const MAX_USERS: usize = 1000;

/// An account in the admin's view.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountObject<'a> {
    id: UserId,
    username: &'a str,
    created_at: Timestamp,
    general_access: AccountAccess,
    is_disabled: bool,
    is_admin: bool,
    quota: Quota,
    /// Present only if a single account was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageObject>,
    /// True if this change has revoked all links to stores that the user could write to.
    #[serde(skip_serializing_if = "Option::is_none")]
    links_revoked: Option<bool>,
}

/// Usage of an account, by the last count.
#[derive(Debug, Serialize)]
struct UsageObject {
    stores: u64,
    records: u64,
    bytes: u64,
}

/// Dispatches a call on accounts, tokens or the clock.
pub async fn dispatch(
    context: &Context,
    grant: &AccountGrant,
    caller: &Caller,
    call: AccountCall,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    match call {
        AccountCall::ListUsers => list(context, &request).await,
        AccountCall::CreateUser => create(context, grant, caller, request).await,
        AccountCall::GetUser(user) => get(context, &user).await,
        AccountCall::UpdateUser(user) => update(context, grant, caller, &user, request).await,
        AccountCall::ListTokens => tokens::list(context, grant, caller, &request).await,
        AccountCall::CreateToken => tokens::create(context, grant, caller, request).await,
        AccountCall::RevokeToken(id) => tokens::revoke(context, grant, caller, &id, &request).await,
        AccountCall::ReplaceToken(id) => tokens::replace(context, grant, caller, &id, request).await,
        AccountCall::GetClock => Ok(gateway::clock_state(context)),
        AccountCall::AcceptClock => gateway::accept_clock(context, caller).await,
    }
}

async fn list(context: &Context, request: &Request<'_>) -> Result<Response<ResponseBody>, ApiError> {
    let wanted = request.query.page(MAX_USERS)?;
    let page = context.users.list(&wanted).await?;
    let items = page.items.iter().map(|user| object(user)).collect();
    Ok(response::json(StatusCode::OK, &Data { data: AccountList::new(&wanted, page.total, items) }))
}

async fn get(context: &Context, user: &str) -> Result<Response<ResponseBody>, ApiError> {
    let user = context.user(user).await?;
    let Usage { stores, records, bytes } = context.catalog.usage(user.id).await?;
    let usage = Some(UsageObject { stores, records, bytes });
    Ok(response::json(StatusCode::OK, &Data { data: AccountObject { usage, ..object(&user) } }))
}

async fn create(
    context: &Context,
    grant: &AccountGrant,
    caller: &Caller,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let body = json_body::read_object(context, request, grant, &["username", "generalAccess"]).await?;
    let username = body.get("username").and_then(Value::as_str).unwrap_or_default().parse()?;
    let general_access = parse_access(&body)?.unwrap_or_default();
    let user = context.users.create(NewUser { username, general_access }).await?;
    audit::log(caller, audit::Action::UserCreate, &audit_details(&user));
    Ok(show(StatusCode::CREATED, &user))
}

async fn update(
    context: &Context,
    grant: &AccountGrant,
    caller: &Caller,
    user: &str,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let user = context.user(user).await?;
    let keep_links = request.query.flag("keepLinks");
    let body = json_body::read_object(context, request, grant, &["isDisabled", "generalAccess", "quota"]).await?;
    let is_disabled = match body.get("isDisabled") {
        None => None,
        Some(Value::Bool(is_disabled)) => Some(*is_disabled),
        Some(_) => {
            return Err(ApiError::bad_request(
                "invalid-value",
                "Invalid value provided: isDisabled must be true or false",
            ));
        }
    };
    let update =
        UserUpdate { general_access: parse_access(&body)?, is_disabled, keep_links, quota: parse_quota(&body)? };
    let changed = context.users.update(&user, update).await?;
    audit::log(caller, audit::Action::UserUpdate, &audit_details(&changed));
    let links_revoked = match is_disabled {
        Some(true) => Some(changed.has_links_to_end && revoke_links(context, caller, &changed).await? > 0),
        Some(false) | None => None,
    };
    Ok(response::json(StatusCode::OK, &Data { data: AccountObject { links_revoked, ..object(&changed) } }))
}

/// Returns the fields of an account in the audit log.
fn audit_details(user: &User) -> audit::Details<'_> {
    audit::Details {
        user: Some(&user.username),
        general_access: Some(user.general_access.as_str()),
        disabled: Some(user.is_disabled),
        quota: user.quota,
        ..audit::Details::default()
    }
}

/// Revokes the links to all stores of others to which a disabled user could write; returns the number of those stores.
/// First every gateway must know that the user is disabled: one that does not would still show the user the new secret.
async fn revoke_links(context: &Context, caller: &Caller, user: &User) -> Result<usize, ApiError> {
    context.users.wait_until_visible_everywhere().await;
    let ended = context.shared.end_links(&user.id).await?;
    context.users.clear_links_to_end(user).await?;
    let details = audit::Details { user: Some(&user.username), stores: Some(ended), ..audit::Details::default() };
    audit::log(caller, audit::Action::UserRevokeLinks, &details);
    Ok(ended)
}

fn parse_access(body: &Map<String, Value>) -> Result<Option<AccountAccess>, ApiError> {
    match body.get("generalAccess") {
        None => Ok(None),
        Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|_| {
            let names = AccountAccess::NAMES.join(", ");
            ApiError::bad_request(
                "invalid-value",
                format!("Invalid value provided: generalAccess must be one of {names}"),
            )
        }),
    }
}

/// Returns the `quota` of a body: the limits to change, with `null` for those to reset to the configured ones.
fn parse_quota(body: &Map<String, Value>) -> Result<QuotaUpdate, ApiError> {
    let invalid = |what: &str| ApiError::bad_request("invalid-value", format!("Invalid value provided: {what}"));
    let mut update = QuotaUpdate::default();
    let members = match body.get("quota") {
        None => return Ok(update),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(invalid("quota must be an object")),
    };
    for (name, value) in members {
        let member = match name.as_str() {
            "stores" => &mut update.stores,
            "records" => &mut update.records,
            "bytes" => &mut update.bytes,
            "storeRecords" => &mut update.store_records,
            "storeBytes" => &mut update.store_bytes,
            _ => {
                return Err(invalid("quota has stores, records, bytes, storeRecords and storeBytes, and nothing else"));
            }
        };
        *member = match value {
            Value::Null => Patch::Clear,
            limit => Patch::Set(json_body::parse_integer(&format!("quota.{name}"), limit, 0..=MAX_QUOTA)?),
        };
    }
    Ok(update)
}

fn show(status: StatusCode, user: &User) -> Response<ResponseBody> {
    response::json(status, &Data { data: object(user) })
}

fn object(user: &User) -> AccountObject<'_> {
    let User { id, username, created_at, general_access, is_disabled, quota, .. } = user;
    AccountObject {
        id: *id,
        username: username.as_str(),
        created_at: *created_at,
        general_access: *general_access,
        is_disabled: *is_disabled,
        is_admin: user.is_admin(),
        quota: *quota,
        usage: None,
        links_revoked: None,
    }
}

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
pub async fn get_public(context: &Context, user: &str) -> Result<Response<ResponseBody>, ApiError> {
    Ok(public_object(context.user(user).await?.as_ref()))
}

fn public_object(user: &User) -> Response<ResponseBody> {
    response::json(StatusCode::OK, &Data { data: UserObject::new(user) })
}

/// Checks whether a user may have one more store.
pub async fn check_store_quota(context: &Context, user: &User) -> Result<(), ApiError> {
    let Some(limit) = user.quota.or(context.config.quota).stores else { return Ok(()) };
    let stores = context.catalog.count(user.id).await? as u64;
    if stores < limit {
        return Ok(());
    }
    Err(ApiError::quota_exceeded(format!("User {} has {stores} stores, of at most {limit}", user.username)))
}

/// Checks whether a record of `length` bytes, if known, may be written into the store of `grant`.
pub async fn check_record_quota(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    length: Option<u64>,
) -> Result<(), ApiError> {
    let quota = grant.owner().quota.or(context.config.quota);
    if quota.is_empty() {
        return Ok(());
    }
    let (id, owner) = (grant.store().document.id, grant.owner());
    let contents = grant.store().document.contents;
    let (records, bytes) = contents.map_or((0, 0), |contents| (contents.records, contents.bytes));
    let of_store = format!("Key-value Store {id}");
    check_limit(&of_store, "bytes", bytes, length, quota.store_bytes)?;
    let mut is_full = check_limit(&of_store, "records", records, None, quota.store_records);
    if quota.bytes.is_some() || quota.records.is_some() {
        let usage = context.catalog.usage(owner.id).await?;
        let of_user = format!("User {}", owner.username);
        check_limit(&of_user, "bytes", usage.bytes, length, quota.bytes)?;
        is_full = is_full.and(check_limit(&of_user, "records", usage.records, None, quota.records));
    }
    let Err(full) = is_full else { return Ok(()) };
    // Overwriting adds no record.
    match context.records.head(grant.store(), key).await {
        Ok(_) => Ok(()),
        Err(kv::Error::RecordNotFound) => Err(full),
        Err(error) => Err(error.into()),
    }
}

/// Checks that `whose` usage is below the limit, if there is one, and that `added` alone does not exceed it.
fn check_limit(whose: &str, things: &str, has: u64, added: Option<u64>, limit: Option<u64>) -> Result<(), ApiError> {
    match limit {
        Some(limit) if has >= limit => {
            Err(ApiError::quota_exceeded(format!("{whose} has {has} {things}, of at most {limit}")))
        }
        Some(limit) if added.is_some_and(|added| added > limit) => {
            Err(ApiError::quota_exceeded(format!("{whose} may have at most {limit} {things}")))
        }
        Some(_) | None => Ok(()),
    }
}
