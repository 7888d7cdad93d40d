//! A run in the API.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    clock::Timestamp,
    kv::{ActorId, GeneralAccess, RunId, StoreId, UserId},
    runs::{Metamorph, Run, RunOrigin, RunSettings, RunStatus},
};

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
    meta: Meta,
    stats: Stats,
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
struct Meta {
    origin: RunOrigin,
}

/// The platform's measurements of a container, which does not exist here.
#[derive(Debug, Serialize)]
struct Stats {}

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
            meta: Meta { origin: run.origin },
            stats: Stats {},
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
