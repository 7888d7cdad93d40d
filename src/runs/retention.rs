//! Retention of finished runs: they stay for the retention and as long as their unnamed store, and are then deleted
//! together with their dependants.
//!
//! ```text
//! finished   its tokens are revoked, an item says when its retention ends
//! expired    a first check finds that nothing keeps it; an item for the second check, by uptime, carries its identity
//! deleted    the second check agrees: the document goes, then tokens and entries, and the item last
//! ```
//!
//! The second check is an hour of uptime after the first. So no single clock reading deletes a run, and no request
//! that began while the run could be changed is still writing. A crash at any point leaves an item from which the
//! next check continues.

use crate::{
    clock::Timestamp,
    kv::{self, Catalog, Retention, StoreLocator, remove_json},
};

use super::{
    entries::RunIdentity,
    error::{Result, RunsError},
    layout::{self, Queue, QueueItem, millis},
    registry::Runs,
    run::Run,
    status::RunStatus,
};

impl Runs {
    /// Returns the minimum retention of finished runs.
    pub fn retention(&self) -> Retention {
        self.retention.get()
    }

    /// Sets the minimum retention of finished runs.
    pub fn set_retention(&self, retention: Retention) {
        self.retention.set(retention);
    }

    /// Returns whether finished runs may be deleted now.
    pub fn allows_deletion(&self) -> bool {
        self.guard.allows_deletion()
    }

    /// Schedules the deletion of a finished run after its retention. Its tokens are already revoked.
    pub async fn retire(&self, run: &Run) -> Result<()> {
        self.remove_stale_entries(run).await?;
        let end = self.retention_end(run);
        self.enqueue(Queue::Finished, end.as_millis(), &run.id, &()).await.map(drop)
    }

    /// Makes the first check of a finished run whose retention seems to have ended.
    pub async fn check_retention(&self, item: &QueueItem, catalog: &Catalog) -> Result<()> {
        let run = match self.get(&item.id).await {
            Ok(run) => run,
            Err(RunsError::NotFound) => return self.dequeue(item).await,
            Err(error) => return Err(error),
        };
        if let Some(until) = self.kept_until(&run, catalog).await? {
            return self.keep(&run, until, item).await;
        }
        let at = self.now().uptime + self.options.second_check;
        self.enqueue(Queue::Removal, millis(at), &run.id, &Some(RunIdentity::of(&run))).await?;
        self.dequeue(item).await
    }

    /// Makes the second check of a finished run, and deletes its document if both agree. Returns the identity for the
    /// rest of the deletion ([`Runs::remove_rest`]), or `None` if the run stays.
    pub async fn remove(&self, item: &QueueItem, catalog: &Catalog) -> Result<Option<RunIdentity>> {
        match self.get(&item.id).await {
            Ok(run) => {
                if let Some(until) = self.kept_until(&run, catalog).await? {
                    return self.keep(&run, until, item).await.map(|()| None);
                }
                remove_json(self.objects.as_ref(), &layout::document(&run.id)).await?;
                Ok(Some(RunIdentity::of(&run)))
            }
            // An earlier removal got this far.
            Err(RunsError::NotFound) => match self.carried(item).await? {
                Some(identity) => Ok(Some(identity)),
                None => self.dequeue(item).await.map(|()| None),
            },
            Err(error) => Err(error),
        }
    }

    /// Deletes the entries of a run whose document and tokens are gone, and then the item.
    pub async fn remove_rest(&self, run: &RunIdentity, item: &QueueItem) -> Result<()> {
        self.remove_entries(run, RunStatus::ALL).await?;
        self.dequeue(item).await
    }

    /// Reschedules the deletion of a run whose item came too early.
    async fn keep(&self, run: &Run, until: Timestamp, item: &QueueItem) -> Result<()> {
        let key = self.enqueue(Queue::Finished, until.as_millis(), &run.id, &()).await?;
        if key == item.key { Ok(()) } else { self.dequeue(item).await }
    }

    fn retention_end(&self, run: &Run) -> Timestamp {
        run.finished_at.unwrap_or(run.started_at).plus(self.retention().duration())
    }

    /// Returns the time until which a finished run is kept, or `None` if it may be deleted.
    async fn kept_until(&self, run: &Run, catalog: &Catalog) -> Result<Option<Timestamp>> {
        // A clock that has come into doubt meanwhile delays this.
        let Some(now) = self.guard.deletion_time() else { return Err(RunsError::Contended) };
        let end = self.retention_end(run);
        if end > now {
            return Ok(Some(end));
        }
        let store = match catalog.resolve(&StoreLocator::Id(run.store)).await {
            Ok(store) => store,
            Err(kv::Error::StoreNotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let document = &store.document;
        if document.name.is_some() {
            return Ok(None);
        }
        let expires_at = document.expires_at.unwrap_or(now).max(end);
        Ok(Some(if expires_at > now { expires_at } else { now.plus(document.retention.duration() / 10) }))
    }
}
