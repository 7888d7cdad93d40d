//! Accounts, for the admin: list, create, get, change (an addition to the platform's API).

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    api::{
        audit,
        context::Context,
        message::{
            error::ApiError,
            request::Request,
            response::{self, ResponseBody},
        },
        routing::admin_routes::AccountCall,
    },
    auth::{AccountAccess, AccountGrant, Caller, NewUser, Quota, QuotaUpdate, User, UserUpdate},
    clock::Timestamp,
    kv::{Patch, Usage, UserId},
};

use super::{
    gateway, json_body,
    responses::{AccountList, Data},
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
