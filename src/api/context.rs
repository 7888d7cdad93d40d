//! What operations work with.

use std::sync::Arc;

use crate::{
    auth::{
        AccountsError, Caller, Grant, Quota, Secrets, SharedStores, Token, TokenHash, Tokens, User, Users, signature,
    },
    clock::{Clock, Timestamp},
    kv::{Catalog, Document, GeneralAccess, Records, StoreView},
    runs::Runs,
    telemetry::{Ledger, Metrics, Prices, trace::Tracer},
};

use super::{
    error::ApiError,
    links::Links,
    rate_limits::{RateLimits, RateOptions},
    store_route::StoreCall,
    upstream::Upstream,
};

/// Options of the API.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Origin of the links in answers, without a slash at its end.
    pub public_url: String,
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
            public_url: "http://127.0.0.1:8011".to_owned(),
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
    /// Who traces requests, if anybody.
    pub tracer: Option<Arc<Tracer>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Everything that an operation may need.
#[derive(Debug)]
pub struct Context {
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
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How links begin.
    pub links: Links,
    /// The largest record, in stored bytes.
    pub max_record_bytes: u64,
    /// How many requests a second are taken.
    pub rates: RateLimits,
    /// What an account may have that says nothing of its own.
    pub quota: Quota,
    /// The server that has datasets and request queues, if there is one.
    pub upstream: Option<Upstream>,
    /// Figures on what goes on.
    pub metrics: Metrics,
    /// Who causes which object calls.
    pub ledger: Arc<Ledger>,
    /// What they cost, if it was said.
    pub prices: Option<Prices>,
    /// Since when they are counted.
    pub since: Timestamp,
    metrics_token: Option<TokenHash>,
}

impl Context {
    /// What operations need of `parts`.
    pub fn new(options: ApiOptions, parts: ApiParts) -> Self {
        let ApiOptions { public_url, max_record_bytes, rates, max_requests: _, quota, metrics_token, prices } = options;
        let ApiParts {
            catalog,
            records,
            users,
            tokens,
            shared,
            runs,
            secrets,
            upstream,
            metrics,
            ledger,
            tracer: _,
            clock,
        } = parts;
        let metrics_token = metrics_token.map(|token| token.hash());
        let links = Links::new(public_url);
        let rates = RateLimits::new(rates, Arc::clone(&clock));
        let since = clock.now();
        Self {
            catalog,
            records,
            users,
            tokens,
            shared,
            runs,
            secrets,
            clock,
            links,
            max_record_bytes,
            rates,
            quota,
            upstream,
            metrics,
            ledger,
            prices,
            since,
            metrics_token,
        }
    }

    /// Whether this is the token that opens figures, and nothing else.
    pub fn is_metrics_token(&self, token: Option<&str>) -> bool {
        let hash = token.map(|token| Token::new(token).hash());
        self.metrics_token.as_ref().zip(hash).is_some_and(|(known, given)| known.is(&given))
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
                signature::is_of_record(signature, &signing_key, key)
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
