//! Tokens: list, create, replace, revoke (an addition to the platform's API). Users manage their own tokens, the admin
//! all.

use std::{sync::Arc, time::Duration};

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
    },
    auth::{
        AccountAction, AccountGrant, AccountsError, Caller, NewToken, Scope, StoredToken, Token, User,
        authorize_account,
    },
    clock::Timestamp,
    kv::{RunId, TokenId, UserId},
};

use super::{
    json_body,
    responses::{AccountList, Data},
    run_calls,
};

/// Maximum number of tokens on a page.
const MAX_TOKENS: usize = 1000;

/// Maximum number of characters of a token's name.
const MAX_NAME_LENGTH: usize = 200;

/// Default time for which a replaced token stays valid: the platform's day.
const DEFAULT_OVERLAP_SECS: u64 = 24 * 60 * 60;

/// Maximum time for which a replaced token stays valid: 30 days.
const MAX_OVERLAP_SECS: u64 = 30 * 24 * 60 * 60;

/// Maximum time until a token expires: 100 years.
const MAX_LIFETIME_DAYS: u32 = 36_525;

/// A token in its owner's view.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenObject<'a> {
    id: TokenId,
    user_id: UserId,
    name: Option<&'a str>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    scope: Option<&'a Scope>,
    /// The run that it belongs to and ends with, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    /// Its secret, shown only in the response to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

/// Returns a page of the tokens of the caller's account, or of the one that `username` names.
pub async fn list(
    context: &Context,
    grant: &AccountGrant,
    caller: &Caller,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let user = target_user(context, grant, caller, request.query.text("username").as_deref()).await?;
    let wanted = request.query.page(MAX_TOKENS)?;
    let page = context.tokens.list(&user.id, &wanted).await?;
    let items = page.items.iter().map(|(token, last_use)| object(token, *last_use, None)).collect();
    Ok(response::json(StatusCode::OK, &Data { data: AccountList::new(&wanted, page.total, items) }))
}

/// Creates a token.
pub async fn create(
    context: &Context,
    grant: &AccountGrant,
    caller: &Caller,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let body = json_body::read_object(context, request, grant, &["username", "expiresAt", "name", "scope"]).await?;
    let username = parse_text(&body, "username")?;
    let expires_at = parse_text(&body, "expiresAt")?.map(|date| parse_end(date, context.clock.now())).transpose()?;
    let name = parse_text(&body, "name")?.map(str::to_owned);
    if name.as_ref().is_some_and(|name| name.chars().count() > MAX_NAME_LENGTH) {
        return Err(invalid(&format!("name can have at most {MAX_NAME_LENGTH} characters")));
    }
    let new = NewToken { name, expires_at, scope: parse_scope(&body)?, ..NewToken::default() };
    let user = target_user(context, grant, caller, username).await?;
    let (kept, token) = context.tokens.create(&user, new).await?;
    let details = audit::Details { user: Some(&user.username), token: Some(&kept.id), ..audit::Details::default() };
    audit::log(caller, audit::Action::TokenCreate, &details);
    Ok(show(&kept, &token))
}

/// Revokes a token.
pub async fn revoke(
    context: &Context,
    grant: &AccountGrant,
    caller: &Caller,
    id: &str,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let user = target_user(context, grant, caller, request.query.text("username").as_deref()).await?;
    let id = id.parse().map_err(|_| AccountsError::TokenNotFound)?;
    context.tokens.revoke(&user.id, &id).await?;
    let details = audit::Details { user: Some(&user.username), token: Some(&id), ..audit::Details::default() };
    audit::log(caller, audit::Action::TokenRevoke, &details);
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// Creates a token like another one, which ends after a while.
pub async fn replace(
    context: &Context,
    grant: &AccountGrant,
    caller: &Caller,
    id: &str,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let body = json_body::read_object(context, request, grant, &["overlapSecs", "username"]).await?;
    let overlap = match body.get("overlapSecs") {
        None => DEFAULT_OVERLAP_SECS,
        Some(seconds) => json_body::parse_integer("overlapSecs", seconds, 0..=MAX_OVERLAP_SECS)?,
    };
    let user = target_user(context, grant, caller, parse_text(&body, "username")?).await?;
    let id = id.parse().map_err(|_| AccountsError::TokenNotFound)?;
    let run = context.tokens.get(&user.id, &id).await?.run;
    let new_id = match run {
        None => None,
        Some(run) => Some(run_calls::register_token(context, &run).await?.1),
    };
    let (kept, token) = context.tokens.replace(&user, &id, new_id, Duration::from_secs(overlap)).await?;
    if let Some(run) = run {
        run_calls::revoke_if_finished(context, &run, &kept).await?;
    }
    let (user, id, new_token) = (Some(&user.username), Some(&id), Some(&kept.id));
    let details = audit::Details { user, token: id, new_token, ..audit::Details::default() };
    audit::log(caller, audit::Action::TokenReplace, &details);
    Ok(show(&kept, &token))
}

/// Returns the account whose tokens are addressed: the caller's own, or another one, for which only the admin may act.
async fn target_user(
    context: &Context,
    grant: &AccountGrant,
    caller: &Caller,
    username: Option<&str>,
) -> Result<Arc<User>, ApiError> {
    match username {
        None => Ok(Arc::clone(grant.user())),
        Some(name) if grant.user().username.as_str().eq_ignore_ascii_case(name) => Ok(Arc::clone(grant.user())),
        Some(name) => {
            authorize_account(caller, AccountAction::Administer)?;
            context.user(name).await
        }
    }
}

/// Parses a token's expiry: a date after `now`, within the maximum.
fn parse_end(date: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let end: Timestamp = date.parse().map_err(|_| invalid("expiresAt must be an ISO 8601 date"))?;
    let latest = now.plus(Duration::from_hours(24) * MAX_LIFETIME_DAYS);
    if end <= now || end > latest {
        return Err(invalid(&format!(
            "expiresAt must be in the future, by {MAX_LIFETIME_DAYS} days at most; without it a token has no end"
        )));
    }
    Ok(end)
}

/// Returns the `scope` of a body; null or absent means unlimited.
fn parse_scope(body: &Map<String, Value>) -> Result<Option<Scope>, ApiError> {
    let scope: Option<Scope> = match body.get("scope") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => serde_json::from_value(value.clone()).ok(),
    };
    let scope = scope.filter(Scope::is_sensible);
    scope.map(Some).ok_or_else(|| {
        invalid(
            "scope must be null or an object of list, create and stores; each store is an id, name or namePrefix, and a right \
             of read, write or manage",
        )
    })
}

fn parse_text<'a>(body: &'a Map<String, Value>, member: &str) -> Result<Option<&'a str>, ApiError> {
    match body.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(&format!("{member} must be a string"))),
    }
}

fn invalid(what: &str) -> ApiError {
    ApiError::bad_request("invalid-value", format!("Invalid value provided: {what}"))
}

fn show(kept: &StoredToken, token: &Token) -> Response<ResponseBody> {
    response::json(StatusCode::CREATED, &Data { data: object(kept, None, Some(token.reveal())) })
}

fn object<'a>(kept: &'a StoredToken, last_used_at: Option<Timestamp>, token: Option<&'a str>) -> TokenObject<'a> {
    let StoredToken { id, user_id, created_at, expires_at, run: run_id, .. } = *kept;
    let (name, scope) = (kept.name.as_deref(), kept.scope.as_ref());
    TokenObject { id, user_id, name, created_at, expires_at, last_used_at, scope, run_id, token }
}
