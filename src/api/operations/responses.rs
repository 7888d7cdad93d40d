//! JSON objects and lists in responses.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    api::context::Context,
    auth::{Grant, PageQuery, Scope, Session, User, signature},
    clock::Timestamp,
    kv::{
        ActorId, Contents, Document, GeneralAccess, Phase, Right, RunId, Schema, Stats, StoreId, StoreName, TokenId,
        UserId,
    },
    runs::{Metamorph, Run, RunOrigin, RunSettings, RunStatus},
};

/// Validity of the signature in `keysPublicUrl`.
const KEYS_LINK_LIFETIME: Duration = Duration::from_hours(14 * 24);

/// Envelope of every successful JSON response.
#[derive(Debug, Serialize)]
pub struct Data<T> {
    /// The payload.
    pub data: T,
}

/// A store in the API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreObject<'a> {
    id: StoreId,
    name: Option<&'a StoreName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    user_id: UserId,
    username: &'a str,
    created_at: Timestamp,
    modified_at: Timestamp,
    accessed_at: Timestamp,
    expires_at: Option<Timestamp>,
    retention_days: f64,
    /// Present only while its records are being relocated.
    #[serde(rename = "move", skip_serializing_if = "Option::is_none")]
    relocation: Option<RelocationProgress>,
    act_id: Option<&'a str>,
    act_run_id: Option<&'a str>,
    schema: Option<&'a Schema>,
    general_access: GeneralAccess,
    /// The caller's own right on the store (an addition).
    right: Option<Right>,
    console_url: String,
    keys_public_url: String,
    records_public_url: String,
    /// Present only for callers who may write.
    #[serde(skip_serializing_if = "Option::is_none")]
    url_signing_secret_key: Option<String>,
    stats: StatsObject,
}

/// Use of a store, and its content once that is counted: `itemCount` and `countedAt` are additions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatsObject {
    #[serde(flatten)]
    used: Stats,
    #[serde(flatten)]
    counted: Option<CountedObject>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CountedObject {
    item_count: u64,
    storage_bytes: u64,
    /// The same value: only records are stored, exactly as they are.
    s3_storage_bytes: u64,
    counted_at: Timestamp,
}

impl CountedObject {
    fn new(contents: Contents) -> Self {
        let Contents { records, bytes, counted_at, unchanged_since: _ } = contents;
        Self { item_count: records, storage_bytes: bytes, s3_storage_bytes: bytes, counted_at }
    }
}

impl<'a> StoreObject<'a> {
    /// Returns the store of `grant`.
    pub fn new(context: &'a Context, grant: &'a Grant) -> Self {
        let store = grant.store();
        let document = &store.document;
        let activity = context.catalog.activity(store);
        let signing_key = context.signing_key(grant);
        let keys_signature = signing_key
            .as_deref()
            .map(|key| signature::sign_keys(key, &document.id, Some(context.clock.now().plus(KEYS_LINK_LIFETIME))));
        Self {
            id: document.id,
            name: document.name.as_ref(),
            title: document.title.as_deref(),
            user_id: document.owner_id,
            username: grant.owner().username.as_str(),
            created_at: document.created_at,
            modified_at: activity.modified_at,
            accessed_at: activity.accessed_at,
            expires_at: document.expires_at,
            retention_days: document.retention.as_days(),
            relocation: RelocationProgress::from_document(document),
            act_id: document.act_id.as_deref(),
            act_run_id: document.act_run_id.as_deref(),
            schema: document.schema.as_ref(),
            general_access: document.general_access,
            right: grant.right(),
            console_url: context.links.console(&document.id),
            keys_public_url: context.links.keys(&document.id, keys_signature.as_deref()),
            records_public_url: context.links.records(&document.id),
            url_signing_secret_key: signing_key,
            stats: StatsObject { used: activity.stats, counted: document.contents.map(CountedObject::new) },
        }
    }
}

/// Progress of a relocation of a store's records between permanent and expiring storage.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RelocationProgress {
    phase: &'static str,
    records_copied: u64,
}

impl RelocationProgress {
    fn from_document(document: &Document) -> Option<Self> {
        let (phase, relocation) = match &document.phase {
            Phase::Copying(relocation) => ("COPYING", relocation),
            Phase::Frozen(relocation) => ("FROZEN", relocation),
            Phase::CuttingOver(relocation) => ("ARRIVING", relocation),
            Phase::Creating | Phase::Active | Phase::Deleted { .. } => return None,
        };
        Some(Self { phase, records_copied: relocation.copied_records })
    }
}

/// A page of stores.
#[derive(Debug, Serialize)]
pub struct StoreList<'a> {
    /// Number of all matching stores.
    pub total: usize,
    /// Number of skipped stores.
    pub offset: usize,
    /// Effective page limit.
    pub limit: usize,
    /// Number of stores on this page.
    pub count: usize,
    /// True if the newest come first.
    pub desc: bool,
    /// True if unnamed stores are included.
    pub unnamed: bool,
    /// The stores.
    pub items: Vec<StoreObject<'a>>,
}

/// A page of accounts or tokens.
#[derive(Debug, Serialize)]
pub struct AccountList<T> {
    /// Number of all items.
    total: usize,
    /// Number of skipped items.
    offset: usize,
    /// Effective page limit.
    limit: usize,
    /// Number of items on this page.
    count: usize,
    /// True if the order is descending.
    desc: bool,
    /// The items.
    items: Vec<T>,
}

impl<T> AccountList<T> {
    /// Returns the requested page.
    pub fn new(wanted: &PageQuery, total: usize, items: Vec<T>) -> Self {
        let PageQuery { offset, limit, descending: desc } = *wanted;
        Self { total, offset, limit, count: items.len(), desc, items }
    }
}

/// A page of keys. `next_exclusive_start_key` is written as `null`, never omitted: without it the JavaScript client
/// starts again from the beginning.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyList {
    /// The keys.
    pub items: Vec<KeyItem>,
    /// Number of keys on this page.
    pub count: usize,
    /// Effective page limit.
    pub limit: usize,
    /// The requested key after which the page begins.
    pub exclusive_start_key: Option<String>,
    /// True if more follow.
    pub is_truncated: bool,
    /// The key after which the next page begins.
    pub next_exclusive_start_key: Option<String>,
}

/// A key in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyItem {
    /// The key.
    pub key: String,
    /// Stored bytes.
    pub size: u64,
    /// A link to the record.
    pub record_public_url: String,
}

/// An account in the API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserObject<'a> {
    id: UserId,
    username: &'a str,
    created_at: Timestamp,
}

impl<'a> UserObject<'a> {
    /// Wraps an account.
    pub fn new(user: &'a User) -> Self {
        Self { id: user.id, username: user.username.as_str(), created_at: user.created_at }
    }
}

/// The caller's own account.
#[derive(Debug, Serialize)]
pub struct CurrentUserObject<'a> {
    #[serde(flatten)]
    user: UserObject<'a>,
    proxy: Proxy,
}

/// The platform's proxy, which does not exist here: clients that ask for it find neither a password nor a group.
#[derive(Debug, Serialize)]
struct Proxy {
    password: &'static str,
    groups: [(); 0],
}

impl<'a> CurrentUserObject<'a> {
    /// Wraps the caller's account.
    pub fn new(user: &'a User) -> Self {
        Self { user: UserObject::new(user), proxy: Proxy { password: "", groups: [] } }
    }
}

/// The caller, with the rights of the token.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionObject<'a> {
    #[serde(flatten)]
    user: UserObject<'a>,
    is_admin: bool,
    token: SessionToken<'a>,
}

/// The caller's token. The admin's initial token has no id, name, scope or expiry.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionToken<'a> {
    id: Option<TokenId>,
    name: Option<&'a str>,
    expires_at: Option<Timestamp>,
    scope: Option<&'a Scope>,
}

impl<'a> SessionObject<'a> {
    /// Wraps a session.
    pub fn new(session: &'a Session) -> Self {
        let Session { user, token, ip: _ } = session;
        let token = token.as_deref();
        Self {
            user: UserObject::new(user),
            is_admin: user.is_admin() && session.scope().is_none(),
            token: SessionToken {
                id: session.token_id(),
                name: token.and_then(|token| token.name.as_deref()),
                expires_at: token.and_then(|token| token.expires_at),
                scope: session.scope(),
            },
        }
    }
}

/// A run in the API, with every member that the Python client's models require.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunObject<'a> {
    id: RunId,
    act_id: ActorId,
    actor_task_id: Option<ActorId>,
    user_id: UserId,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    status: RunStatus,
    status_message: Option<&'a str>,
    is_status_message_terminal: Option<bool>,
    meta: RunMeta,
    stats: RunStats,
    options: &'a RunSettings,
    build_id: ActorId,
    exit_code: Option<i32>,
    /// Always zero: no fees are charged.
    usage_total_usd: u32,
    general_access: GeneralAccess,
    default_key_value_store_id: StoreId,
    default_dataset_id: &'a str,
    default_request_queue_id: &'a str,
    storage_ids: Value,
    #[serde(skip_serializing_if = "<[Metamorph]>::is_empty")]
    metamorphs: &'a [Metamorph],
}

#[derive(Debug, Serialize)]
struct RunMeta {
    origin: RunOrigin,
}

/// The platform's measurements of a container, which does not exist here.
#[derive(Debug, Serialize)]
struct RunStats {}

/// Returns the ids of a run's storages, by their roles.
pub fn storage_ids(run: &Run) -> Value {
    json!({
        "datasets": { "default": run.dataset },
        "keyValueStores": { "default": run.store },
        "requestQueues": { "default": run.request_queue },
    })
}

impl<'a> RunObject<'a> {
    /// Wraps a run.
    pub fn new(run: &'a Run) -> Self {
        Self {
            id: run.id,
            act_id: run.actor,
            actor_task_id: run.task,
            user_id: run.owner_id,
            started_at: run.started_at,
            finished_at: run.finished_at,
            status: run.status,
            status_message: run.status_message.as_deref(),
            is_status_message_terminal: run.is_status_message_terminal,
            meta: RunMeta { origin: run.origin },
            stats: RunStats {},
            options: &run.settings,
            build_id: run.build_id,
            exit_code: run.exit_code,
            usage_total_usd: 0,
            general_access: run.general_access,
            default_key_value_store_id: run.store,
            default_dataset_id: &run.dataset,
            default_request_queue_id: &run.request_queue,
            storage_ids: storage_ids(run),
            metamorphs: &run.metamorphs,
        }
    }
}

/// A page of runs.
#[derive(Debug, Serialize)]
pub struct RunList<'a> {
    /// Number of all matching runs.
    pub total: usize,
    /// Number of skipped runs.
    pub offset: usize,
    /// Effective page limit.
    pub limit: usize,
    /// Number of runs on this page.
    pub count: usize,
    /// True if the newest come first.
    pub desc: bool,
    /// The runs.
    pub items: Vec<RunObject<'a>>,
}
