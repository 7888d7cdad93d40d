//! List entries of runs: an object without a body in each list of a run, with the status in its key.
//!
//! Entries follow the document. Entries of a new status are written before the document that has it, and those of
//! earlier statuses are deleted after it, so a run is in its lists at any time. Readers count a run once, and the
//! document of a listed run is authoritative. A crash in between leaves extra entries, which the next check of the
//! run deletes.
//!
//! Only entries of statuses that the run can no longer have are deleted. So a writer that has lost a race deletes
//! nothing that the winner needs.

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    kv::{ActorId, JsonError, Note, RunId, TokenId, UserId, write_note},
};

use super::{
    actor::ActorKind,
    error::Result,
    layout::{self, Entry},
    registry::Runs,
    run::{Run, RunOrigin},
    status::RunStatus,
};

/// All data from which the keys of a run's objects are built. Queue items carry it in case the document is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunIdentity {
    /// Id of the run.
    pub id: RunId,
    /// Owner of the run.
    pub owner_id: UserId,
    /// Actor that was started.
    #[serde(rename = "actorId")]
    pub actor: ActorId,
    /// Task that was started, if it was one.
    #[serde(rename = "taskId")]
    pub task: Option<ActorId>,
    /// Start of the run.
    pub started_at: Timestamp,
    /// Origin of the run.
    pub origin: RunOrigin,
    /// Tokens that were made for the run.
    #[serde(rename = "tokenIds")]
    pub tokens: Vec<TokenId>,
}

/// Its content never changes.
impl Note for RunIdentity {}

impl RunIdentity {
    /// Returns the identity of `run`.
    pub fn of(run: &Run) -> Self {
        let Run { id, owner_id, actor, task, started_at, origin, ref tokens, .. } = *run;
        Self { id, owner_id, actor, task, started_at, origin, tokens: tokens.clone() }
    }

    /// Returns the keys of the run's entries with `status`.
    fn entries(&self, status: RunStatus) -> impl Iterator<Item = String> {
        let Self { id, ref owner_id, started_at, origin, .. } = *self;
        let end = Entry { started_at, id, status, origin }.end();
        let folders = [
            Some(layout::all_of(owner_id)),
            Some(layout::of_actor(owner_id, ActorKind::Actor, &self.actor)),
            self.task.map(|task| layout::of_actor(owner_id, ActorKind::Task, &task)),
        ];
        folders.into_iter().flatten().map(move |folder| folder + &end)
    }
}

impl Runs {
    /// Writes the entries of `run` with its current status.
    pub(super) async fn write_entries(&self, run: &Run) -> Result<()> {
        let keys: Vec<_> = RunIdentity::of(run).entries(run.status).collect();
        let written = keys.iter().map(|key| write_note(self.objects.as_ref(), key, &()));
        try_join_all(written).await?;
        Ok(())
    }

    /// Deletes the entries of `run` with statuses that it can no longer have.
    pub(super) async fn remove_stale_entries(&self, run: &Run) -> Result<()> {
        let statuses = RunStatus::ALL.into_iter().filter(|status| run.status.excludes(*status));
        self.remove_entries(&RunIdentity::of(run), statuses).await
    }

    /// Deletes the entries of a run with any of `statuses`. One call, or none.
    pub(super) async fn remove_entries(
        &self,
        run: &RunIdentity,
        statuses: impl IntoIterator<Item = RunStatus>,
    ) -> Result<()> {
        let keys: Vec<_> = statuses.into_iter().flat_map(|status| run.entries(status)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        Ok(self.objects.delete_many(keys).await.map_err(JsonError::from)?)
    }
}
