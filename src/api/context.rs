//! Shared state of the API, and the context of a request.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use crate::{
    auth::{
        AccountsError, Caller, Grant, Quota, Secrets, ShareIndex, Token, TokenHash, TokenRepository, User,
        UserRepository, signature,
    },
    clock::{Clock, Timestamp},
    kv::{Catalog, ClockRecords, Document, GeneralAccess, Records, StoreSnapshot},
    runs::RunRepository,
    server::ClientAddr,
    storage::MemoryBudget,
    telemetry::{CostLedger, Metrics, Prices, trace::Tracer},
};

use super::{
    limits::{ConcurrencyLimit, RateLimits, RateOptions},
    message::{
        error::ApiError,
        response::{LinkOrigin, Links},
    },
    routing::routes::StoreCall,
    upstream::Upstream,
};

/// Options of the API.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Origin of the links in responses.
    pub public_url: LinkOrigin,
    /// Maximum size of a record, in stored bytes.
    pub max_record_bytes: u64,
    /// Rate limits, in requests per second.
    pub rates: RateOptions,
    /// Maximum number of concurrent requests; `None` for no limit.
    pub max_requests: Option<usize>,
    /// Default quota of accounts.
    pub quota: Quota,
    /// Token that gives access to the metrics only.
    pub metrics_token: Option<Token>,
    /// Prices of object calls, if configured.
    pub prices: Option<Prices>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            public_url: LinkOrigin::Fixed("http://127.0.0.1:8011".to_owned()),
            max_record_bytes: 5 * 1024 * 1024 * 1024,
            rates: RateOptions::default(),
            max_requests: None,
            quota: Quota::default(),
            metrics_token: None,
            prices: None,
        }
    }
}

/// Shared state of the API.
#[derive(Debug)]
pub struct ApiState {
    /// The stores.
    pub catalog: Arc<Catalog>,
    /// Their records.
    pub records: Arc<Records>,
    /// The accounts.
    pub users: Arc<UserRepository>,
    /// Their tokens.
    pub tokens: Arc<TokenRepository>,
    /// Index of shared stores.
    pub shared: ShareIndex,
    /// Runs of actors.
    pub runs: Arc<RunRepository>,
    /// Secrets that sign links.
    pub secrets: Arc<Secrets>,
    /// Upstream for datasets and request queues, if configured.
    pub upstream: Option<Upstream>,
    /// Metrics.
    pub metrics: Metrics,
    /// Cost ledger of object calls.
    pub ledger: Arc<CostLedger>,
    /// Start of the cost ledger.
    pub since: Timestamp,
    /// Budget of memory for requests.
    pub memory: Arc<MemoryBudget>,
    /// Tracer of requests, if configured.
    pub tracer: Option<Arc<Tracer>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The record of the installation's time, and whether it is trusted.
    pub clock_records: Arc<ClockRecords>,
}

/// Snapshot of the reloadable options. A request uses the snapshot taken when it began.
#[derive(Debug)]
pub struct RuntimeConfig {
    /// Maximum size of a record, in stored bytes.
    pub max_record_bytes: u64,
    /// Rate limits, in requests per second.
    pub rates: RateLimits,
    /// Default quota of accounts.
    pub quota: Quota,
    /// Prices of object calls, if configured.
    pub prices: Option<Prices>,
    /// Limiter of concurrent requests.
    pub concurrency: Arc<ConcurrencyLimit>,
    max_requests: Option<usize>,
    links: Links,
    metrics_token: Option<TokenHash>,
}

impl RuntimeConfig {
    /// Returns the snapshot for `options`; `rates` and `concurrency` get their limits.
    pub fn new(options: ApiOptions, rates: RateLimits, concurrency: Arc<ConcurrencyLimit>) -> Self {
        let ApiOptions { public_url, max_record_bytes, rates: _, max_requests, quota, metrics_token, prices } = options;
        let metrics_token = metrics_token.map(|token| token.hash());
        let links = Links::new(public_url);
        Self { max_record_bytes, rates, quota, prices, concurrency, max_requests, links, metrics_token }
    }

    /// Returns the snapshot for other options, and keeps the current counts of requests.
    pub fn reloaded(&self, options: ApiOptions) -> Self {
        let has_same_limit = options.max_requests == self.max_requests;
        let concurrency = &self.concurrency;
        let concurrency = if has_same_limit {
            Arc::clone(concurrency)
        } else {
            Arc::new(concurrency.with_limit(options.max_requests))
        };
        let rates = self.rates.with_options(options.rates);
        Self::new(options, rates, concurrency)
    }
}

/// Context of a request: shared state, the options' snapshot, and the origin of links for this client.
#[derive(Debug, Clone)]
pub struct Context {
    state: Arc<ApiState>,
    /// Snapshot of the options.
    pub config: Arc<RuntimeConfig>,
    /// Origin of links.
    pub links: Links,
    /// Address of the client.
    pub ip: Option<IpAddr>,
}

impl Deref for Context {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.state
    }
}

impl Context {
    /// Returns the context of a request from `source`. The public URL decides the origin of links; without one, a
    /// trusted proxy does.
    pub fn new(state: Arc<ApiState>, config: Arc<RuntimeConfig>, source: &ClientAddr) -> Self {
        let links = config.links.for_client_origin(source.origin.as_ref());
        Self { state, config, links, ip: source.ip }
    }

    /// Returns whether this is the token that gives access to the metrics only.
    pub fn is_metrics_token(&self, token: Option<&str>) -> bool {
        let hash = token.map(|token| Token::new(token).hash());
        self.config.metrics_token.as_ref().zip(hash).is_some_and(|(known, given)| known.matches(&given))
    }

    /// Invalidates everything read before now about accounts and tokens.
    pub fn invalidate_accounts(&self) {
        self.users.invalidate();
        self.tokens.invalidate();
    }

    /// Returns the account of that id or name.
    pub async fn user(&self, id_or_username: &str) -> Result<Arc<User>, ApiError> {
        Ok(self.users.find(id_or_username).await?.ok_or(AccountsError::UserNotFound)?)
    }

    /// Returns the store's owner, mostly the caller.
    pub async fn owner(&self, caller: &Caller, store: &StoreSnapshot) -> Result<Arc<User>, ApiError> {
        let owner_id = store.document.owner_id;
        if let Some(user) = caller.user().filter(|user| user.id == owner_id) {
            return Ok(Arc::clone(user));
        }
        let owner = self.users.by_id(&owner_id).await?;
        owner.ok_or_else(|| ApiError::internal(format!("the owner of store {} does not exist", store.document.id)))
    }

    /// Returns whether `signature` permits the call on the store.
    pub fn is_signed(&self, signature: &str, call: &StoreCall, document: &Document) -> bool {
        let signing_key = self.secrets.signing_key(&document.id, document.signing_key_version);
        match call {
            StoreCall::GetRecord(Ok(key)) | StoreCall::HeadRecord(Ok(key)) => {
                signature::verify_record(signature, &signing_key, &document.id, key)
                    || signature::verify_view(signature, &signing_key, &document.id, key, self.clock.now())
            }
            StoreCall::ListKeys | StoreCall::DownloadRecords => {
                signature::verify_content(signature, &signing_key, &document.id, self.clock.now())
            }
            StoreCall::GetRecord(Err(_))
            | StoreCall::HeadRecord(Err(_))
            | StoreCall::Get
            | StoreCall::Update
            | StoreCall::Delete
            | StoreCall::PutRecord(_)
            | StoreCall::DeleteRecord(_)
            | StoreCall::DirectUploadUrl(_)
            | StoreCall::MakeViewLink
            | StoreCall::GetUsage
            | StoreCall::GetAccess
            | StoreCall::Share(_)
            | StoreCall::Unshare(_)
            | StoreCall::RotateSigningKey => false,
        }
    }

    /// Returns the key that signs the links to records of a granted store; `None` if anyone may read them.
    pub fn record_signing_key(&self, grant: &Grant) -> Option<String> {
        match grant.owner().access_to(grant.store().document.general_access) {
            GeneralAccess::AnyoneWithIdCanRead | GeneralAccess::AnyoneWithNameCanRead => None,
            GeneralAccess::FollowUserSetting | GeneralAccess::Restricted => self.signing_key(grant),
        }
    }

    /// Returns the key that signs the links of a granted store, if the caller may see it.
    pub fn signing_key(&self, grant: &Grant) -> Option<String> {
        let document = &grant.store().document;
        grant.may_write().then(|| self.secrets.signing_key(&document.id, document.signing_key_version))
    }
}
