//! Invalidation of a run, reported by its program, its launcher or its owner.

use http::{Response, StatusCode};
use serde_json::{Map, Value};

use crate::{
    api::{
        audit,
        context::Context,
        message::{error::ApiError, request::Request, response::ResponseBody},
        routing::{
            run_routes::{RunCall, RunSource},
            store_routes::parse_address,
        },
    },
    auth::{AccountsError, Caller, Denied, RunGrant, Session},
    kv::{self, Patch, StoreLocator, StoreUpdate},
    runs::{ActorKind, Metamorph, Outcome, Run, RunUpdate, build_id},
};

use super::{json_body, run_environment, runs, stores, usage};

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
        RunCall::CreateEnvironment => run_environment::create(context, grant, caller, request).await,
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

/// Invalidation a run's status message, and the access to the run and its store.
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
