//! What operations work with.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use crate::{
    auth::{
        AccountsError, Caller, Grant, Quota, Secrets, SharedStores, Token, TokenHash, Tokens, User, Users, signature,
    },
    clock::{Clock, Timestamp},
    kv::{Catalog, ClockRecords, Document, GeneralAccess, Records, StoreView},
    runs::Runs,
    server::Source,
    storage::MemoryBudget,
    telemetry::{Ledger, Metrics, Prices, trace::Tracer},
};

use super::{
    admission::Admission,
    error::ApiError,
    links::{LinkOrigin, Links},
    rate_limits::{RateLimits, RateOptions},
    store_route::StoreCall,
    upstream::Upstream,
};

/// Options of the API.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Origin of the links in answers.
    pub public_url: LinkOrigin,
    /// The largest record, in stored bytes.
    pub max_record_bytes: u64,
    /// How many requests a second are taken.
    pub rates: RateOptions,
    /// How many requests are worked on at once; any number if there is no limit.
    pub max_requests: Option<usize>,
    /// What an account may have that says nothing of its own.
    pub quota: Quota,
    /// What opens the figures on what goes on, and nothing else.
    pub metrics_token: Option<Token>,
    /// What object calls cost, if it was said.
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

/// What the API is about.
#[derive(Debug)]
pub struct ApiParts {
    /// The stores.
    pub catalog: Arc<Catalog>,
    /// Their records.
    pub records: Arc<Records>,
    /// The accounts.
    pub users: Arc<Users>,
    /// Their tokens.
    pub tokens: Arc<Tokens>,
    /// What they share.
    pub shared: SharedStores,
    /// Runs of actors.
    pub runs: Arc<Runs>,
    /// What signs links.
    pub secrets: Arc<Secrets>,
    /// The server that has datasets and request queues, if there is one.
    pub upstream: Option<Upstream>,
    /// Figures on what goes on.
    pub metrics: Metrics,
    /// Who causes which object calls.
    pub ledger: Arc<Ledger>,
    /// Since when they are counted.
    pub since: Timestamp,
    /// The memory that is held on behalf of clients.
    pub memory: Arc<MemoryBudget>,
    /// Who traces requests, if anybody.
    pub tracer: Option<Arc<Tracer>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The record of the installation's time, and whether it is trusted.
    pub clock_records: Arc<ClockRecords>,
}

/// What the options come to. A request goes by what was set when it began.
#[derive(Debug)]
pub struct Settled {
    /// The largest record, in stored bytes.
    pub max_record_bytes: u64,
    /// How many requests a second are taken.
    pub rates: RateLimits,
    /// What an account may have that says nothing of its own.
    pub quota: Quota,
    /// What object calls cost, if it was said.
    pub prices: Option<Prices>,
    /// Lets requests in.
    pub admission: Arc<Admission>,
    max_requests: Option<usize>,
    links: Links,
    metrics_token: Option<TokenHash>,
}

impl Settled {
    /// What `options` come to; `rates` and `admission` go by their limits.
    pub fn new(options: ApiOptions, rates: RateLimits, admission: Arc<Admission>) -> Self {
        let ApiOptions { public_url, max_record_bytes, rates: _, max_requests, quota, metrics_token, prices } = options;
        let metrics_token = metrics_token.map(|token| token.hash());
        let links = Links::new(public_url);
        Self { max_record_bytes, rates, quota, prices, admission, max_requests, links, metrics_token }
    }

    /// What other options come to, while requests are counted: what was counted still is.
    pub fn changed(&self, options: ApiOptions) -> Self {
        let is_as_before = options.max_requests == self.max_requests;
        let admission = &self.admission;
        let admission =
            if is_as_before { Arc::clone(admission) } else { Arc::new(admission.with(options.max_requests)) };
        let rates = self.rates.with(options.rates);
        Self::new(options, rates, admission)
    }
}

/// Everything that an operation may need: what the API is about, what is set, and how links begin for this client.
#[derive(Debug, Clone)]
pub struct Context {
    parts: Arc<ApiParts>,
    /// What is set.
    pub settled: Arc<Settled>,
    /// How links begin.
    pub links: Links,
    /// Address of the client.
    pub ip: Option<IpAddr>,
}

impl Deref for Context {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.parts
    }
}

impl Context {
    /// What a request that comes from `source` may need. Where links begin is the public URL's to say, or else a trusted proxy's.
    pub fn new(parts: Arc<ApiParts>, settled: Arc<Settled>, source: &Source) -> Self {
        let links = settled.links.for_client_at(source.origin.as_ref());
        Self { parts, settled, links, ip: source.ip }
    }

    /// Whether this is the token that opens figures, and nothing else.
    pub fn is_metrics_token(&self, token: Option<&str>) -> bool {
        let hash = token.map(|token| Token::new(token).hash());
        self.settled.metrics_token.as_ref().zip(hash).is_some_and(|(known, given)| known.is(&given))
    }

    /// Believes nothing any more that was read of accounts and tokens before now.
    pub fn outdate_accounts(&self) {
        self.users.outdate();
        self.tokens.outdate();
    }

    /// The account of that id or name.
    pub async fn user(&self, id_or_username: &str) -> Result<Arc<User>, ApiError> {
        Ok(self.users.find(id_or_username).await?.ok_or(AccountsError::UserNotFound)?)
    }

    /// Whose store it is; the caller himself, mostly.
    pub async fn owner(&self, caller: &Caller, store: &StoreView) -> Result<Arc<User>, ApiError> {
        let owner_id = store.document.owner_id;
        if let Some(user) = caller.user().filter(|user| user.id == owner_id) {
            return Ok(Arc::clone(user));
        }
        let owner = self.users.by_id(&owner_id).await?;
        owner.ok_or_else(|| ApiError::internal(format!("store {} is nobody's", store.document.id)))
    }

    /// Whether `signature` gives leave to what is called for with a store.
    pub fn is_signed(&self, signature: &str, call: &StoreCall, document: &Document) -> bool {
        let signing_key = self.secrets.signing_key(&document.id, document.secret_rotation);
        match call {
            StoreCall::GetRecord(Ok(key)) | StoreCall::HeadRecord(Ok(key)) => {
                signature::is_of_record(signature, &signing_key, &document.id, key)
                    || signature::is_of_view(signature, &signing_key, &document.id, key, self.clock.now())
            }
            StoreCall::ListKeys | StoreCall::DownloadRecords => {
                signature::is_of_content(signature, &signing_key, &document.id, self.clock.now())
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

    /// What signs the links to records of a granted store: nothing where anyone may read them anyway.
    pub fn record_signing_key(&self, grant: &Grant) -> Option<String> {
        match grant.owner().access_to(grant.store().document.general_access) {
            GeneralAccess::AnyoneWithIdCanRead | GeneralAccess::AnyoneWithNameCanRead => None,
            GeneralAccess::FollowUserSetting | GeneralAccess::Restricted => self.signing_key(grant),
        }
    }

    /// What signs the links of a granted store, if the caller may know.
    pub fn signing_key(&self, grant: &Grant) -> Option<String> {
        let document = &grant.store().document;
        grant.may_write().then(|| self.secrets.signing_key(&document.id, document.secret_rotation))
    }
}
