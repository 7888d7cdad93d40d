//! Runs: find, get, list, start.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::{
    api::{
        audit,
        context::Context,
        limits::RateLimitKey,
        message::{
            error::ApiError,
            request::{Query, Request},
            response::{self, ResponseBody},
        },
        routing::routes::{RunAddress, RunSource, StoreAddress},
    },
    auth::{
        AccountAction, Action, Addressed, Caller, Denied, RunAction, RunFacts, RunGrant, User, authorize,
        authorize_account, authorize_run, precheck_run,
    },
    clock::Timestamp,
    kv::{ActorId, Creator, NewStore, RecordKey, StoreSnapshot},
    outbound::FORWARDED,
    runs::{ActorName, NewRun, Run, RunFilter, RunOrigin, RunScope, RunSettings, RunStatus, build_id},
    storage::ByteStream,
};

use super::{
    accounts,
    records::{self, Upload},
    responses::{Data, RunList, RunObject},
};

/// Maximum wait for the end of a run: the platform's minute.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Maximum wait of a request that another gateway forwarded, which has a shorter timeout.
const MAX_FORWARDED_WAIT: Duration = Duration::from_secs(20);

/// Maximum number of runs on a page.
const MAX_RUNS: usize = 1000;

/// Default build.
const DEFAULT_BUILD: &str = "latest";

/// Maximum length of a build's name.
const MAX_BUILD_LENGTH: usize = 100;

/// Default memory of a run in MiB, and its bounds: the platform's.
const DEFAULT_MEMORY_MIB: u32 = 1024;
const MEMORY_MIB_RANGE: std::ops::RangeInclusive<u32> = 128..=32_768;

/// Maximum time limit of a run: 366 days.
const MAX_TIMEOUT_SECS: u64 = 366 * 24 * 60 * 60;

/// Key of the record with a run's input.
const INPUT_KEY: &str = "INPUT";

/// Returns the addressed run with the permission to do `action` with it.
pub async fn authorize_call(
    context: &Context,
    caller: &Caller,
    choice: &RunAddress,
    action: RunAction,
    query: &Query<'_>,
) -> Result<(Run, RunGrant), ApiError> {
    precheck_run(caller, action)?;
    let run = find(context, caller, choice, query).await?;
    let owner = owner(context, &run).await?;
    let facts = RunFacts {
        id: run.id,
        owner_id: run.owner_id,
        store: run.store,
        creator: run.creator,
        general_access: run.general_access,
    };
    let grant = authorize_run(caller, action, facts, &owner).map_err(ApiError::run_denied)?;
    Ok((run, grant))
}

/// Finds the addressed run.
pub async fn find(context: &Context, caller: &Caller, choice: &RunAddress, query: &Query<'_>) -> Result<Run, ApiError> {
    match choice {
        RunAddress::Id(id) => {
            let id = id.parse().map_err(|_| ApiError::from(crate::runs::RunsError::NotFound))?;
            Ok(context.runs.get(&id).await?)
        }
        RunAddress::Last(source) => {
            let user = caller.user().ok_or(Denied::TokenRequired)?;
            let filter = parse_filter(query)?;
            let actor = actor_id(context, user, source).await?;
            let of = RunScope { owner: user.id, actor: Some((source.kind, actor)) };
            Ok(context.runs.last(&of, &filter).await?)
        }
    }
}

/// Returns the run's owner.
pub async fn owner(context: &Context, run: &Run) -> Result<Arc<User>, ApiError> {
    let owner = context.users.by_id(&run.owner_id).await?;
    owner.ok_or_else(|| ApiError::internal(format!("the owner of run {} does not exist", run.id)))
}

/// Returns the id of the addressed actor or task: the given one, or the one derived from a name.
pub async fn actor_id(context: &Context, user: &User, source: &RunSource) -> Result<ActorId, ApiError> {
    let not_found = || ApiError::not_found("Actor was not found: there is no such user, or the text can be no name");
    let named = |name: &str, owner: &User| {
        let name: ActorName = name.parse().map_err(|_| not_found())?;
        Ok(name.id(source.kind, &owner.id))
    };
    match &source.address {
        StoreAddress::Id(text) => text.parse().or_else(|_| named(text, user)),
        StoreAddress::OwnName(name) => named(name, user),
        StoreAddress::OwnerAndName { owner, name } => {
            let owner = context.users.find(owner).await?.ok_or_else(not_found)?;
            named(name, &owner)
        }
        StoreAddress::EmptyName => {
            Err(ApiError::bad_request("invalid-request", "Resource name parameter cannot be empty"))
        }
    }
}

/// Returns a run's object, after the requested wait for its end.
pub async fn get(
    context: &Context,
    run: Run,
    caller: &Caller,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let wait = parse_wait(request)?;
    Ok(run_response(StatusCode::OK, &wait_for_end(context, run, caller, wait).await?))
}

/// Returns `run`, which was just read, after the requested wait for its end. Limits the number of such waits per
/// caller.
pub async fn wait_for_end(context: &Context, run: Run, caller: &Caller, wait: Duration) -> Result<Run, ApiError> {
    if wait.is_zero() || run.status.is_terminal() {
        return Ok(run);
    }
    let counted = caller.user().map_or(RateLimitKey::Address(context.ip), |user| RateLimitKey::User(user.id));
    let _waiting = context.config.rates.start_wait(counted)?;
    Ok(context.runs.wait_until_finished(run, wait).await?)
}

/// Returns a page of the caller's runs: of all, or of one actor or task.
pub async fn list(
    context: &Context,
    caller: &Caller,
    source: Option<RunSource>,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let account = authorize_account(caller, AccountAction::ListStores)?;
    let query = &request.query;
    let (filter, desc) = (parse_filter(query)?, query.flag("desc"));
    let (offset, limit) = (query.offset()?, query.limit(MAX_RUNS)?);
    let actor = match &source {
        None => None,
        Some(source) => Some((source.kind, actor_id(context, account.user(), source).await?)),
    };
    let page = context.runs.list(&RunScope { owner: account.user().id, actor }, &filter, desc, offset, limit).await?;
    let items: Vec<_> = page.runs.iter().map(RunObject::new).collect();
    let list = RunList { total: page.total, offset, limit, count: items.len(), desc, items };
    Ok(response::json(StatusCode::OK, &Data { data: list }))
}

/// Creates a run with its own store for its input. Starts no program: the caller does.
pub async fn start(
    context: &Context,
    caller: &Caller,
    source: &RunSource,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let account = authorize_account(caller, AccountAction::CreateStore)?;
    let actor = actor_id(context, account.user(), source).await?;
    let (settings, origin, wait) = (
        parse_settings(&request.query)?,
        parse_origin(&request.query)?.unwrap_or(RunOrigin::Api),
        parse_wait(&request)?,
    );
    accounts::check_store_quota(context, account.user()).await?;
    let upstream_ids = match &context.upstream {
        Some(upstream) => Some(upstream.create_for_run().await?),
        None => None,
    };
    let actor_run = Creator { actor, run: context.runs.new_id() };
    let (owner_id, new) = account.creation(NewStore { creator: Some(actor_run), ..NewStore::default() });
    let creator = new.creator_token_id;
    let store = context.catalog.create(owner_id, new).await?.store;
    if let Err(error) = put_input(context, caller, &store, INPUT_KEY, request).await {
        // A store without its run is of no use; if this fails, the store expires.
        let _ = context.catalog.delete(store.document.id).await;
        return Err(error);
    }
    let task = matches!(source.kind, crate::runs::ActorKind::Task).then_some(actor);
    let build_id = build_id(&actor, &settings.build);
    let new = NewRun {
        actor_run,
        owner_id,
        task,
        creator,
        origin,
        settings,
        build_id,
        store: store.document.id,
        upstream_ids,
    };
    let run = context.runs.create(new, &store).await?;
    let details = audit::Details { run: Some(&run.id), actor: Some(actor.as_str()), ..audit::Details::default() };
    audit::log(caller, audit::Action::RunCreate, &details);
    let run = wait_for_end(context, run, caller, wait).await?;
    let mut response = run_response(StatusCode::CREATED, &run);
    let location = HeaderValue::try_from(context.links.run(&run.id)).ok();
    response.headers_mut().extend(location.map(|link| (header::LOCATION, link)));
    Ok(response)
}

/// Stores the body of a request as an input, with its media type and coding; nothing if it is empty.
pub async fn put_input(
    context: &Context,
    caller: &Caller,
    store: &Arc<StoreSnapshot>,
    key: &str,
    request: Request<'_>,
) -> Result<(), ApiError> {
    let key: RecordKey = key.parse()?;
    let owner = context.owner(caller, store).await?;
    let grant = authorize(caller, Action::WriteRecord, Arc::clone(store), owner, Addressed::ById, false)?;
    let (headers, length) = (request.headers, request.body.announced_length());
    let mut body = request.body.open(&grant);
    let Some(first) = body.next().await else { return Ok(()) };
    let body = ByteStream::new(length, stream::once(std::future::ready(first)).chain(body));
    // Preconditions of the request would concern another record.
    let about_body = [header::CONTENT_TYPE, header::CONTENT_ENCODING];
    let about_body = about_body.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    let headers: HeaderMap = about_body.collect();
    let upload = Upload { headers: &headers, length, body };
    records::put_upload(context, &grant, &key, upload).await.map(drop)
}

/// Returns the response with a run.
pub fn run_response(status: StatusCode, run: &Run) -> Response<ResponseBody> {
    response::json(status, &Data { data: RunObject::new(run) })
}

/// Returns the requested wait for the end of the run.
pub fn parse_wait(request: &Request<'_>) -> Result<Duration, ApiError> {
    let longest = if request.headers.contains_key(FORWARDED) { MAX_FORWARDED_WAIT } else { MAX_WAIT };
    Ok(Duration::from_secs(request.query.capped_number("waitForFinish", longest.as_secs())?.unwrap_or(0)))
}

/// Returns the filter of runs in a query.
fn parse_filter(query: &Query<'_>) -> Result<RunFilter, ApiError> {
    let invalid = || ApiError::bad_request("invalid-request", "Status parameter has an invalid value");
    let statuses = match query.text("status") {
        None => Vec::new(),
        Some(words) => {
            words.split(',').map(|word| RunStatus::parse(word).ok_or_else(invalid)).collect::<Result<_, _>>()?
        }
    };
    let (started_after, started_before) = (parse_date(query, "startedAfter")?, parse_date(query, "startedBefore")?);
    Ok(RunFilter { statuses, origin: parse_origin(query)?, started_after, started_before })
}

/// Parses an ISO 8601 date; an empty one counts as absent.
fn parse_date(query: &Query<'_>, parameter: &str) -> Result<Option<Timestamp>, ApiError> {
    let parse = |text: &str| {
        text.parse().map_err(|_| {
            let message =
                format!("Invalid value of parameter {parameter}: it must be a date of ISO 8601 with an offset");
            ApiError::bad_request("invalid-parameter", message)
        })
    };
    query.text(parameter).filter(|text| !text.is_empty()).map(|text| parse(&text)).transpose()
}

fn parse_origin(query: &Query<'_>) -> Result<Option<RunOrigin>, ApiError> {
    let invalid = || ApiError::bad_request("invalid-request", "Origin parameter has an invalid value");
    query.text("origin").map(|word| RunOrigin::parse(&word).ok_or_else(invalid)).transpose()
}

/// Returns the settings of a new run in a query.
fn parse_settings(query: &Query<'_>) -> Result<RunSettings, ApiError> {
    let invalid = |message: String| ApiError::bad_request("invalid-parameter", message);
    let build = query.text("build").unwrap_or_else(|| DEFAULT_BUILD.into()).into_owned();
    if build.len() > MAX_BUILD_LENGTH {
        return Err(invalid(format!(
            "Invalid value of parameter build: it can have {MAX_BUILD_LENGTH} characters at most"
        )));
    }
    let memory_mbytes = match query.capped_number("memory", u64::from(u32::MAX))? {
        None | Some(0) => DEFAULT_MEMORY_MIB,
        Some(memory) => {
            u32::try_from(memory).ok().filter(|memory| MEMORY_MIB_RANGE.contains(memory)).ok_or_else(|| {
                let (least, most) = (MEMORY_MIB_RANGE.start(), MEMORY_MIB_RANGE.end());
                invalid(format!("Invalid value of parameter memory: it must be from {least} to {most} (MiB)"))
            })?
        }
    };
    let timeout_secs = query.number("timeout", MAX_TIMEOUT_SECS)?.unwrap_or(0);
    // As on the platform, the disk of a run is twice its memory.
    Ok(RunSettings { build, timeout_secs, memory_mbytes, disk_mbytes: 2 * memory_mbytes })
}
