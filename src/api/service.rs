//! Processing of every request: call, caller, store, grant, operation.

use std::{
    fmt::Write as _,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, header, request::Parts};
use http_body::Body;

use crate::{
    auth::{AccountAction, Addressed, Caller, Denied, User, authorize, authorize_account, precheck},
    clock::Random,
    kv::{self, StoreLocator, StoreName, StoreSnapshot},
    outbound::HttpClient,
    server::{ClientAddr, allow_any_origin},
    storage::BoxError,
    telemetry::{
        CostOwner,
        request_context::{self, ClientIdentity},
    },
};

use super::{
    context::{ApiOptions, ApiState, Context, RuntimeConfig},
    leader::{self, Invalidation, Leader},
    limits::{ConcurrencyLimit, Permit, RateLimitKey, RateLimits},
    message::{
        browser_policy,
        error::ApiError,
        request::{self, REQUEST_ID, Request, UnopenedBody},
        response::{InFlightBodies, ResponseBody},
    },
    operations::{accounts, gateway, run_calls, runs, stores, upstream_access, usage},
    request_telemetry::{self, Operation, RequestMetrics, RequestTelemetry},
    routing::{
        route::{self, Call, Endpoint},
        routes::{RunsCall, StoreAddress, StoreCall},
    },
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");

const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The REST API.
#[derive(Debug)]
pub struct Api {
    state: Arc<ApiState>,
    config: ArcSwap<RuntimeConfig>,
    request_ids: RequestIds,
    metrics: RequestMetrics,
    in_flight: InFlightBodies,
    telemetry: RequestTelemetry,
    leader: Option<Leader>,
}

impl Api {
    /// Returns the API over stores and accounts.
    pub fn new(options: ApiOptions, state: ApiState, random: &dyn Random) -> Self {
        let (metrics, request_ids) = (RequestMetrics::new(&state.metrics), RequestIds::new(random));
        let in_flight = InFlightBodies::new(&state.metrics);
        let telemetry =
            RequestTelemetry::new(Arc::clone(&state.ledger), state.tracer.clone(), Arc::clone(&state.clock));
        let concurrency = ConcurrencyLimit::new(options.max_requests, Arc::clone(&state.clock), &state.metrics);
        let rates = RateLimits::new(options.rates, Arc::clone(&state.clock));
        let config = ArcSwap::from_pointee(RuntimeConfig::new(options, rates, Arc::new(concurrency)));
        Self { state: Arc::new(state), config, request_ids, metrics, in_flight, telemetry, leader: None }
    }

    /// Applies other options from the next request on.
    pub fn reconfigure(&self, options: ApiOptions) {
        self.config.store(Arc::new(self.config.load().reloaded(options)));
    }

    /// Returns the API of a gateway that is not the leader: `leader` serves all conditional writes.
    #[must_use]
    pub fn with_leader(self, leader: Arc<HttpClient>) -> Self {
        Self { leader: Some(Leader::new(leader)), ..self }
    }

    /// Responds to a request from `source`. Never fails: errors are responses, too.
    pub async fn respond<B>(&self, request: http::Request<B>, source: ClientAddr) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let began = self.state.clock.monotonic();
        let context = Context::new(Arc::clone(&self.state), self.config.load_full(), &source);
        let (head, body) = request.into_parts();
        let id = request::forwarded_request_id(&head.headers).unwrap_or_else(|| self.request_ids.next());
        let mut ended_context = None;
        let (operation, mut response) = if head.method == Method::OPTIONS {
            (Operation::Preflight, browser_policy::preflight(&head.headers))
        } else {
            let call = route::parse(&head.method, &head.uri);
            let operation = call.as_ref().map_or(Operation::Unknown, |call| (&call.endpoint).into());
            let result = match call {
                Ok(call) => match acquire_permit(&context, &call.endpoint, &head, began).await {
                    Ok(_permit) => {
                        let mut result = pin!(self.handle(&context, call, &head, body, &id, &source));
                        let mut scoped = pin!(self.telemetry.begin(&id, &head).scope(result.as_mut()));
                        let result = scoped.as_mut().await;
                        ended_context = scoped.as_mut().take_value();
                        result
                    }
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            (operation, result.unwrap_or_else(|error| error.into_response(&id)))
        };
        let ended = self.state.clock.monotonic();
        self.metrics.count(operation, response.status(), ended.saturating_sub(began));
        request_telemetry::finish(ended_context.as_ref(), (&head, &id, operation), &response, (began, ended));
        if head.method == Method::HEAD {
            *response.body_mut() = ResponseBody::empty();
        }
        response.body_mut().track(&id, &self.in_flight);
        let headers = response.headers_mut();
        let is_of_record = operation.is_on_record() || route::is_record_path(head.uri.path());
        headers.insert(RATE_LIMIT, context.config.rates.advertised_limit(is_of_record));
        headers.insert(REQUEST_ID, id);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
        // Responses contain secrets and change with every write: cacheable ones set their own header.
        headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
        allow_any_origin(headers);
        response
    }

    /// Dispatches the call. Rare branches are boxed, as in [`stores::dispatch`].
    async fn handle(
        &self,
        context: &Context,
        call: Call<'_>,
        head: &Parts,
        body: impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
        id: &HeaderValue,
        source: &ClientAddr,
    ) -> Result<Response<ResponseBody>, ApiError> {
        browser_policy::reject_code_request(&head.headers)?;
        if let Some(leader) = &self.leader
            && let Some(invalidation) = leader::leader_call_invalidation(&call.endpoint, &head.headers)
        {
            let result = Box::pin(leader.forward(&context.catalog, invalidation.clone(), head, body, id, source)).await;
            if invalidation == Invalidation::Accounts {
                context.invalidate_accounts();
            }
            return result;
        }
        let token = request::token(&head.headers, &call.query);
        if call.endpoint == Endpoint::Metrics && context.is_metrics_token(token.as_deref()) {
            return Ok(gateway::metrics(context));
        }
        let caller = identify(context, token.as_deref(), source).await?;
        if let Endpoint::Proxied(what) = &call.endpoint {
            return Box::pin(upstream_access::forward(context, &caller, what, &call.query, head, body)).await;
        }
        let body = UnopenedBody::new(request::byte_stream(body, &self.in_flight), head.uri.path());
        let request = Request { headers: &head.headers, query: call.query, body };
        match call.endpoint {
            Endpoint::Store(address, call) => {
                precheck(&caller, call.action())?;
                let target = resolve(context, &address, &caller).await?;
                handle_store_call(context, &caller, target, call, request).await
            }
            Endpoint::Runs(call) => Box::pin(handle_run_call(context, &caller, call, request)).await,
            Endpoint::ListStores => {
                let grant = authorize_account(&caller, AccountAction::ListStores)?;
                Box::pin(stores::list(context, &grant, &caller, &request)).await
            }
            Endpoint::CreateStore => Box::pin(stores::create(context, &caller, request)).await,
            Endpoint::Session => Ok(accounts::session(&authorize_account(&caller, AccountAction::ReadUser)?)),
            Endpoint::CurrentUser => Ok(accounts::current(&authorize_account(&caller, AccountAction::ReadUser)?)),
            Endpoint::Limits => Box::pin(accounts::limits(context, &caller)).await,
            Endpoint::MonthlyUsage => accounts::monthly_usage(context, &caller, &request.query),
            Endpoint::User(user) => {
                authorize_account(&caller, AccountAction::ReadUser)?;
                Box::pin(accounts::get_public(context, &user)).await
            }
            Endpoint::Account(call) => {
                let grant = authorize_account(&caller, call.action())?;
                Box::pin(accounts::dispatch(context, &grant, &caller, call, request)).await
            }
            Endpoint::Proxied(_) => Err(ApiError::upstream_not_configured()),
            Endpoint::Usage => usage::all(context, &caller, &request),
            Endpoint::Metrics => {
                authorize_account(&caller, AccountAction::Administer)?;
                Ok(gateway::metrics(context))
            }
            Endpoint::Description => Ok(gateway::description(request.headers)),
            Endpoint::MergeUsage => {
                let grant = authorize_account(&caller, AccountAction::ActAsGateway)?;
                Box::pin(gateway::merge_usage(context, &grant, request)).await
            }
            Endpoint::ExtendExpiry => {
                let grant = authorize_account(&caller, AccountAction::ActAsGateway)?;
                Box::pin(gateway::extend_expiry(context, &grant, request)).await
            }
        }
    }
}

/// Acquires a permit for a request. Requests for metrics need none, so that operators can always read them.
async fn acquire_permit<'a>(
    context: &'a Context,
    endpoint: &Endpoint,
    head: &Parts,
    now: Duration,
) -> Result<Permit<'a>, ApiError> {
    let concurrency = &context.config.concurrency;
    if *endpoint == Endpoint::Metrics {
        return Ok(concurrency.uncounted());
    }
    concurrency.acquire(endpoint.streams_body().then_some(&head.headers), now).await.map_err(|_| ApiError::overloaded())
}

/// Store addressed by a call.
struct AddressedStore {
    store: Arc<StoreSnapshot>,
    owner: Arc<User>,
    addressed: Addressed,
}

/// Performs a call on a store.
async fn handle_store_call(
    context: &Context,
    caller: &Caller,
    AddressedStore { store, owner, addressed }: AddressedStore,
    call: StoreCall,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    request_telemetry::set_store(&store);
    let signature = request.query.text("signature").filter(|_| call.action().is_linked());
    let is_signed = signature.is_some_and(|text| context.is_signed(&text, &call, &store.document));
    let grant = authorize(caller, call.action(), store, owner, addressed, is_signed)?;
    context.config.rates.check(call.rate_limit_key(grant.store().document.id))?;
    stores::dispatch(context, &grant, caller, call, request).await
}

/// Performs a call on runs. The store of a run is treated like any other that is addressed by its id.
async fn handle_run_call(
    context: &Context,
    caller: &Caller,
    call: RunsCall,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    match call {
        RunsCall::ListRuns(source) => runs::list(context, caller, source, &request).await,
        RunsCall::StartRun(source) => runs::start(context, caller, &source, request).await,
        RunsCall::Store(choice, call) => {
            precheck(caller, call.action())?;
            let run = runs::find(context, caller, &choice, &request.query).await?;
            request_telemetry::set_run(&run.id);
            let store = context.catalog.resolve(&StoreLocator::Id(run.store)).await?;
            let owner = context.owner(caller, &store).await?;
            handle_store_call(
                context,
                caller,
                AddressedStore { store, owner, addressed: Addressed::ById },
                call,
                request,
            )
            .await
        }
        RunsCall::Run(choice, call) => {
            let (run, grant) = runs::authorize_call(context, caller, &choice, call.action(), &request.query).await?;
            request_telemetry::set_run(&run.id);
            run_calls::dispatch(context, &grant, run, caller, &call, request).await
        }
    }
}

/// Identifies the caller by the token and applies the rate limit. An unknown token may be a guess: it is counted under
/// its address before the look-up, and under its user instead once it turns out to be valid.
async fn identify(context: &Context, token: Option<&str>, source: &ClientAddr) -> Result<Caller, ApiError> {
    let (rates, address) = (&context.config.rates, RateLimitKey::Address(source.ip));
    let is_guess = rates.limits_callers() && token.is_some_and(|token| !context.tokens.is_cached(token));
    if is_guess {
        rates.check(address)?;
    }
    request_context::set_client(ClientIdentity::from_address(source.ip));
    let caller = context.tokens.identify(token).await;
    match &caller {
        Ok(Caller::User(session)) => {
            if is_guess {
                rates.refund(address);
            }
            request_context::set_caller_name(session.user.username.as_str());
            request_context::set_client(
                CostOwner::from_name(session.user.id.as_str())
                    .map_or_else(ClientIdentity::default, ClientIdentity::User),
            );
            rates.check(RateLimitKey::User(session.user.id))?;
        }
        Err(_) if is_guess => {}
        Ok(Caller::Anonymous) | Err(_) => rates.check(address)?,
    }
    Ok(caller?.with_ip(source.ip))
}

/// Finds the store that a path addresses. A look-up by name costs callers other than the owner the same, whether or not
/// the owner and the store exist.
async fn resolve(context: &Context, address: &StoreAddress, caller: &Caller) -> Result<AddressedStore, ApiError> {
    let not_found = || ApiError::from(kv::Error::StoreNotFound);
    // A text that can be neither id nor name addresses no store: SDKs look up names as if they were ids.
    let parsed = |name: &str| name.parse::<StoreName>().map_err(|_| not_found());
    let (owner, locator) = match address {
        StoreAddress::Id(id) => {
            let id = id.parse().map_err(|_| not_found())?;
            let store = context.catalog.resolve(&StoreLocator::Id(id)).await?;
            let owner = context.owner(caller, &store).await?;
            return Ok(AddressedStore { store, owner, addressed: Addressed::ById });
        }
        StoreAddress::OwnName(name) => {
            let owner = caller.user().ok_or(Denied::TokenRequired)?;
            (Some(Arc::clone(owner)), StoreLocator::Name(owner.id, parsed(name)?))
        }
        StoreAddress::OwnerAndName { owner, name } => {
            let name = parsed(name)?;
            if let Some(owner) = caller.user().filter(|user| user.is_named(owner)) {
                (Some(Arc::clone(owner)), StoreLocator::Name(owner.id, name))
            } else {
                let owner = context.users.find_for_others(owner).await?.ok_or_else(not_found)?;
                (owner.account, StoreLocator::ForeignName(owner.id, name))
            }
        }
        StoreAddress::EmptyName => {
            return Err(ApiError::bad_request("invalid-request", "Resource name parameter cannot be empty"));
        }
    };
    let store = context.catalog.resolve(&locator).await?;
    Ok(AddressedStore { store, owner: owner.ok_or_else(not_found)?, addressed: Addressed::ByName })
}

/// Generator of request ids: unique within a process, and most likely globally.
#[derive(Debug)]
struct RequestIds {
    process: String,
    count: AtomicU64,
}

impl RequestIds {
    fn new(random: &dyn Random) -> Self {
        let mut bytes = [0; 4];
        random.fill(&mut bytes);
        Self { process: format!("{:08x}", u32::from_be_bytes(bytes)), count: AtomicU64::new(0) }
    }

    fn next(&self) -> HeaderValue {
        let mut id = String::with_capacity(2 * self.process.len() + 1);
        let _ = write!(id, "{}-{:x}", self.process, self.count.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
    }
}
