//! A run, as clients see it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    clock::Timestamp,
    kv::{ActorId, GeneralAccess, RunId, StoreId, UserId},
    runs::{Metamorph, Run, RunOrigin, RunSettings, RunStatus},
};

/// A run, as clients see it: every member that the Python client's models demand.
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
    /// Nobody is charged.
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

/// What the platform measures of a container, of which there is none here.
#[derive(Debug, Serialize)]
struct Stats {}

/// The stores of a run, by what they are to it.
pub fn storage_ids(run: &Run) -> Value {
    json!({
        "datasets": { "default": run.dataset },
        "keyValueStores": { "default": run.store },
        "requestQueues": { "default": run.request_queue },
    })
}

impl<'a> RunObject<'a> {
    /// A run.
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
    /// All runs that match.
    pub total: usize,
    /// Runs skipped.
    pub offset: usize,
    /// The most runs on a page, as it was applied.
    pub limit: usize,
    /// Runs on this page.
    pub count: usize,
    /// Newest first.
    pub desc: bool,
    /// The runs.
    pub items: Vec<RunObject<'a>>,
}
