//! Calls on one run: its invalidation, reported by its program, its launcher or its owner; and the environment of its
//! program, the variables by which it finds the run, with the run's own token.

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        audit,
        context::Context,
        message::{
            error::ApiError,
            request::Request,
            response::{self, ResponseBody},
        },
        routing::routes::{RunCall, RunSource, parse_address},
    },
    auth::{AccountsError, Caller, Denied, NewToken, RunGrant, Scope, Session, StoredToken, Token},
    kv::{self, Patch, RunId, StoreLocator, StoreUpdate, TokenId},
    runs::{ActorKind, Metamorph, Outcome, Run, RunUpdate, RunsError, build_id},
};

use super::{
    json_body,
    responses::{Data, RunObject, storage_ids},
    runs, stores, usage,
};

/// Maximum number of characters of a run's status message.
const MAX_MESSAGE_LENGTH: usize = 10_000;

/// Performs the call on `run`, the run of `grant`.
pub async fn dispatch(
    context: &Context,
    grant: &RunGrant,
    run: Run,
    caller: &Caller,
    call: &RunCall,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    match call {
        RunCall::GetRun => runs::get(context, run, caller, &request).await,
        RunCall::GetLog => Err(no_log(&request)),
        RunCall::GetUsage => Ok(usage::run(context, grant)),
        RunCall::UpdateRun => update(context, grant, &run, caller, request).await,
        RunCall::Abort => abort(context, grant, caller, &request).await,
        RunCall::Metamorph => metamorph(context, grant, &run, caller, request).await,
        RunCall::Finish => finish(context, grant, caller, request).await,
        RunCall::Heartbeat => Ok(runs::run_response(StatusCode::OK, &context.runs.heartbeat(&grant.run().id).await?)),
        RunCall::CreateEnvironment => create_environment(context, grant, caller, request).await,
        RunCall::Restart => Err(ApiError::not_served(
            "it starts no programs, neither again: the program that runs the Actor can make another run",
        )),
        RunCall::Charge => Err(ApiError::not_served("it charges no fees")),
    }
}

/// Returns the error for a run's log. A client that follows the log of a run that it has started reads a 404 as a run
/// without a log; after any other error the official JavaScript client fails the whole call.
fn no_log(request: &Request<'_>) -> ApiError {
    if request.query.flag("stream") {
        ApiError::not_found("Log was not found")
    } else {
        ApiError::not_served("it keeps no logs of runs")
    }
}

/// Changes a run's status message, and the access to the run and its store.
async fn update(
    context: &Context,
    grant: &RunGrant,
    run: &Run,
    caller: &Caller,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let body =
        json_body::read_object(context, request, grant, &["statusMessage", "isStatusMessageTerminal", "generalAccess"])
            .await?;
    let update = RunUpdate {
        status_message: parse_message(&body)?,
        is_status_message_terminal: parse_flag(&body, "isStatusMessageTerminal")?,
        general_access: stores::parse_access(&body)?,
    };
    if let Some(general_access) = update.general_access {
        if !grant.may_manage() {
            return Err(ApiError::run_denied(Denied::Insufficient));
        }
        let of_store = StoreUpdate { general_access: Some(general_access), ..StoreUpdate::default() };
        match context.catalog.update(run.store, of_store).await {
            Ok(_) | Err(kv::Error::StoreNotFound) => {}
            Err(error) => return Err(error.into()),
        }
        let general_access = Some(general_access.as_str());
        let details = audit::Details { run: Some(&run.id), general_access, ..audit::Details::default() };
        audit::log(caller, audit::Action::RunUpdate, &details);
    }
    let (now, step) = (context.clock.now(), context.runs.heartbeat_step());
    let changed = context.runs.update(&run.id, |run| {
        let is_seen = run.record_heartbeat(now, step);
        Ok(run.apply(&update) || is_seen)
    });
    Ok(runs::run_response(StatusCode::OK, &changed.await?))
}

async fn abort(
    context: &Context,
    grant: &RunGrant,
    caller: &Caller,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let wait = runs::parse_wait(request)?;
    if request.query.flag("gracefully") {
        return Err(ApiError::not_served("a run is told to abort at once, and not gracefully"));
    }
    let run = context.runs.abort(&grant.run().id).await?;
    let details = audit::Details { run: Some(&run.id), status: Some(run.status.as_str()), ..audit::Details::default() };
    audit::log(caller, audit::Action::RunAbort, &details);
    let run = runs::wait_for_end(context, run, caller, wait).await?;
    revoke_tokens(context, &run, caller).await?;
    Ok(runs::run_response(StatusCode::OK, &run))
}

/// Stores the input of the run's next actor. The launcher starts that actor: `larder run` does, if it can.
async fn metamorph(
    context: &Context,
    grant: &RunGrant,
    run: &Run,
    caller: &Caller,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let id = &grant.run().id;
    let Some(target) = request.query.text("targetActorId") else {
        return Err(ApiError::bad_request("invalid-request", "The parameter targetActorId is missing"));
    };
    let build = request.query.text("build").unwrap_or_else(|| run.settings.build.clone().into()).into_owned();
    let source = RunSource { kind: ActorKind::Actor, address: parse_address(&target) };
    let owner = runs::owner(context, run).await?;
    let actor_id = runs::actor_id(context, &owner, &source).await?;
    let store = context.catalog.resolve(&StoreLocator::Id(run.store)).await?;
    let mut input_key = String::new();
    let begin = |run: &mut Run| {
        input_key = run.begin_input()?;
        Ok(true)
    };
    context.runs.update(id, begin).await?;
    runs::put_input(context, caller, &store, &input_key, request).await?;
    let build_id = build_id(&actor_id, &build);
    let metamorph = Metamorph { created_at: context.clock.now(), actor_id, build_id, input_key };
    let changed = context.runs.update(id, |run| run.metamorph(metamorph.clone())).await?;
    Ok(runs::run_response(StatusCode::OK, &changed))
}

/// Records the end of a run, from `{"exitCode": 3}` or `{"status": "ABORTED"}`, or both. Idempotent.
async fn finish(
    context: &Context,
    grant: &RunGrant,
    caller: &Caller,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let body = json_body::read_object(context, request, grant, &["exitCode", "status"]).await?;
    let exit_code = match body.get("exitCode") {
        None | Some(Value::Null) => None,
        Some(code) => {
            let code = code.as_i64().and_then(|code| i32::try_from(code).ok());
            Some(code.ok_or_else(|| invalid("exitCode must be a whole number of 32 bits"))?)
        }
    };
    let status = body.get("status").filter(|status| !status.is_null());
    let outcome = match (status.map(|status| status.as_str().unwrap_or_default()), exit_code) {
        (Some("SUCCEEDED"), _) | (None, Some(0)) => Outcome::Succeeded,
        (Some("FAILED"), _) | (None, Some(_)) => Outcome::Failed,
        (Some("TIMED-OUT"), _) => Outcome::TimedOut,
        (Some("ABORTED"), _) => Outcome::Aborted,
        (Some(_), _) | (None, None) => {
            return Err(invalid("give an exitCode, or a status of SUCCEEDED, FAILED, TIMED-OUT or ABORTED"));
        }
    };
    let now = context.clock.now();
    let run = context.runs.update(&grant.run().id, |run| Ok(run.finish(outcome, exit_code, now))).await?;
    let details = audit::Details { run: Some(&run.id), status: Some(run.status.as_str()), ..audit::Details::default() };
    audit::log(caller, audit::Action::RunFinish, &details);
    revoke_tokens(context, &run, caller).await?;
    Ok(runs::run_response(StatusCode::OK, &run))
}

/// Revokes the tokens of a finished run. The response follows only after they are revoked: if a revocation fails, the
/// call fails and may be repeated, and the run's due item repeats it in any case. The caller's own token is the last,
/// so that the call can be repeated with it.
async fn revoke_tokens(context: &Context, run: &Run, caller: &Caller) -> Result<(), ApiError> {
    if !run.status.is_terminal() {
        return Ok(());
    }
    let own = caller.session().and_then(Session::token_id);
    let (own, others): (Vec<_>, Vec<_>) = run.tokens.iter().partition(|token| Some(**token) == own);
    for token in others.into_iter().chain(own) {
        match context.tokens.revoke(&run.owner_id, token).await {
            Ok(()) | Err(AccountsError::TokenNotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn parse_message(body: &Map<String, Value>) -> Result<Patch<String>, ApiError> {
    match body.get("statusMessage") {
        None => Ok(Patch::Keep),
        Some(Value::Null) => Ok(Patch::Clear),
        Some(Value::String(text)) => Ok(Patch::Set(text.chars().take(MAX_MESSAGE_LENGTH).collect())),
        Some(_) => Err(invalid("statusMessage must be a string")),
    }
}

fn parse_flag(body: &Map<String, Value>, member: &str) -> Result<Option<bool>, ApiError> {
    match body.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(invalid(&format!("{member} must be true or false"))),
    }
}

fn invalid(what: &str) -> ApiError {
    ApiError::bad_request("invalid-value", format!("Invalid value provided: {what}"))
}

/// Maximum length of an origin under which the program reaches this server.
const MAX_ORIGIN_LENGTH: usize = 2000;

/// Environment of a run, for its launcher.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    run: RunObject<'a>,
    token_id: TokenId,
    environment: Value,
}

/// Creates a token for a run, which ends with it: for its store, its dataset and its request queue, and with
/// `{"openStores": true}` for the stores that the run creates and its owner's named stores. `{"apiBaseUrl": origin}` is
/// the address of this server for the program, if not the public URL.
async fn create_environment(
    context: &Context,
    grant: &RunGrant,
    caller: &Caller,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let body = json_body::read_object(context, request, grant, &["openStores", "apiBaseUrl"]).await?;
    let opens = parse_opens(&body)?;
    let origin = parse_origin(&body)?.unwrap_or(context.links.origin());
    // The run first: its end revokes the tokens that it lists, whether or not they were created.
    let (run, id) = register_token(context, &grant.run().id).await?;
    let owner = runs::owner(context, &run).await?;
    let name = Some(format!("run {}", run.id));
    let scope = Scope::for_run(run.store, &run.dataset, &run.request_queue, opens);
    let new = NewToken { id: Some(id), name, expires_at: None, scope: Some(scope), run: Some(run.id) };
    let (kept, token) = context.tokens.create(&owner, new).await?;
    revoke_if_finished(context, &run.id, &kept).await?;
    let (user, id, run_id) = (Some(&owner.username), Some(&kept.id), Some(&run.id));
    let details = audit::Details { user, token: id, run: run_id, ..audit::Details::default() };
    audit::log(caller, audit::Action::TokenCreate, &details);
    let environment = variables(&run, &token, origin, context.links.origin());
    let entry = Entry { run: RunObject::new(&run), token_id: kept.id, environment };
    Ok(response::json(StatusCode::CREATED, &Data { data: entry }))
}

/// Records in a run that a token is about to be created for it, so that the end of the run revokes the token. Returns
/// the run, and the token's future id.
pub async fn register_token(context: &Context, run: &RunId) -> Result<(Run, TokenId), ApiError> {
    let id = context.tokens.new_id();
    let (now, step) = (context.clock.now(), context.runs.heartbeat_step());
    let announced = context.runs.update(run, |run| {
        run.record_heartbeat(now, step);
        run.add_token(id)?;
        Ok(true)
    });
    Ok((announced.await?, id))
}

/// Reads a run again, after a token was created that the end of the run may have missed. If the run is over, revokes
/// the token, which was never shown.
pub async fn revoke_if_finished(context: &Context, run: &RunId, token: &StoredToken) -> Result<(), ApiError> {
    match context.runs.get(run).await {
        Ok(run) if !run.status.is_terminal() => return Ok(()),
        Ok(_) | Err(RunsError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    match context.tokens.revoke(&token.user_id, &token.id).await {
        Ok(()) | Err(AccountsError::TokenNotFound) => Err(RunsError::Over.into()),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether the token may open other stores. An invalid value is rejected: a token with fewer rights than meant
/// fails later.
fn parse_opens(body: &Map<String, Value>) -> Result<bool, ApiError> {
    match body.get("openStores") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(opens)) => Ok(*opens),
        Some(_) => {
            let message = "Invalid value provided: openStores must be true or false";
            Err(ApiError::bad_request("invalid-value", message))
        }
    }
}

fn parse_origin(body: &Map<String, Value>) -> Result<Option<&str>, ApiError> {
    match body.get("apiBaseUrl") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(origin)) if origin.len() <= MAX_ORIGIN_LENGTH && origin.starts_with("http") => {
            Ok(Some(origin.trim_end_matches('/')))
        }
        Some(_) => {
            let message = "Invalid value provided: apiBaseUrl must be an origin, such as http://127.0.0.1:8011";
            Err(ApiError::bad_request("invalid-value", message))
        }
    }
}

/// Returns the variables, each under every name that some client reads: the SDK up to version 2 reads only those that
/// begin with `APIFY_`, later ones prefer `ACTOR_`.
fn variables(run: &Run, token: &Token, origin: &str, public_origin: &str) -> Value {
    let mut all = Map::new();
    let mut set = |names: &[&str], value: String| {
        all.extend(names.iter().map(|name| ((*name).to_owned(), Value::from(value.clone()))));
    };
    set(&["APIFY_IS_AT_HOME"], "1".to_owned());
    set(&["APIFY_HEADLESS"], "1".to_owned());
    // The official command line reports its use and checks for updates, each at hosts of the platform.
    set(&["APIFY_CLI_DISABLE_TELEMETRY", "APIFY_CLI_SKIP_UPDATE_CHECK"], "1".to_owned());
    set(&["APIFY_TOKEN"], token.reveal().to_owned());
    // The official command line reads its own variable; without it the run's token goes to the platform.
    set(&["APIFY_API_BASE_URL", "APIFY_CLIENT_BASE_URL"], origin.to_owned());
    set(&["APIFY_API_PUBLIC_BASE_URL"], public_origin.to_owned());
    set(&["APIFY_USER_ID"], run.owner_id.to_string());
    set(&["ACTOR_RUN_ID", "APIFY_ACTOR_RUN_ID", "APIFY_ACT_RUN_ID"], run.id.to_string());
    set(&["ACTOR_ID", "APIFY_ACTOR_ID", "APIFY_ACT_ID"], run.current_actor().to_string());
    if let Some(task) = run.task {
        set(&["ACTOR_TASK_ID", "APIFY_ACTOR_TASK_ID"], task.to_string());
    }
    let build = run.metamorphs.last().map_or(run.build_id, |metamorph| metamorph.build_id);
    set(&["ACTOR_BUILD_ID", "APIFY_ACTOR_BUILD_ID"], build.to_string());
    set(&["ACTOR_DEFAULT_KEY_VALUE_STORE_ID", "APIFY_DEFAULT_KEY_VALUE_STORE_ID"], run.store.to_string());
    set(&["ACTOR_DEFAULT_DATASET_ID", "APIFY_DEFAULT_DATASET_ID"], run.dataset.clone());
    set(&["ACTOR_DEFAULT_REQUEST_QUEUE_ID", "APIFY_DEFAULT_REQUEST_QUEUE_ID"], run.request_queue.clone());
    set(&["ACTOR_STORAGES_JSON"], storage_ids(run).to_string());
    set(&["ACTOR_INPUT_KEY", "APIFY_INPUT_KEY"], run.input_key().to_owned());
    set(&["ACTOR_MEMORY_MBYTES", "APIFY_MEMORY_MBYTES"], run.settings.memory_mbytes.to_string());
    set(&["ACTOR_STARTED_AT", "APIFY_STARTED_AT"], run.started_at.to_string());
    if let Some(deadline) = run.deadline() {
        set(&["ACTOR_TIMEOUT_AT", "APIFY_TIMEOUT_AT"], deadline.to_string());
    }
    let origin = json!(run.origin).as_str().unwrap_or_default().to_owned();
    set(&["APIFY_META_ORIGIN"], origin);
    // With both set, the SDKs need not request the run before they begin; the Python SDK ignores an empty object.
    set(&["APIFY_ACTOR_PRICING_INFO"], json!({ "pricingModel": "FREE" }).to_string());
    set(&["APIFY_CHARGED_ACTOR_EVENT_COUNTS"], json!({ "none": 0 }).to_string());
    Value::Object(all)
}
