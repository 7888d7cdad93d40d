//! Environment of a run's program: the variables by which it finds the run, with the run's own token.

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
    },
    auth::{AccountsError, Caller, NewToken, RunGrant, Scope, StoredToken, Token},
    kv::{RunId, TokenId},
    runs::{Run, RunsError},
};

use super::{
    json_body,
    responses::{Data, RunObject, storage_ids},
    runs,
};

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
pub async fn create(
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
