//! Removal of what deleted stores leave behind.
//!
//! A removal is an object that names a store and when its turn is. It is written before the store is marked as deleted,
//! so that no crash leaves records that nobody removes. The first pass removes the records; the second, when no request
//! that began before can still be writing, what came late, and then the document and the name's claim.
//!
//! ```text
//! A  PUT record (slow)                      B  deletes the store, removes its records
//!    the object store takes the record         ...an hour later: removes it as well
//!    A reads the document: deleted. 404
//! ```

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, Timestamp},
    storage::{ListOptions, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Precondition},
};

use super::{
    claims::Claims,
    document::{Document, Phase, Place},
    documents::{Documents, put_control},
    error::{Error, Result},
    id::StoreId,
    index::Index,
    layout::{self, EntryKind},
    view::StoreView,
};

/// The longest a request takes: the second pass comes so long after the deletion.
const LONGEST_REQUEST: Duration = Duration::from_hours(1);

/// The most removals that one run works on.
const MAX_REMOVALS: usize = 1000;

/// Removes deleted stores.
#[derive(Debug)]
pub struct Removals {
    objects: Arc<dyn ObjectStore>,
    documents: Arc<Documents>,
    claims: Arc<Claims>,
    index: Arc<Index>,
    clock: Arc<dyn Clock>,
}

impl Removals {
    /// Removals from `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        documents: Arc<Documents>,
        claims: Arc<Claims>,
        index: Arc<Index>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { objects, documents, claims, index, clock }
    }

    /// Marks a store as deleted and sees to it that its records go.
    pub async fn bury(&self, view: Arc<StoreView>) -> Result<()> {
        let now = self.clock.now();
        self.schedule(view.document.id, now).await?;
        let buried = self
            .documents
            .update_from(view, |document| match &document.phase {
                Phase::Creating | Phase::Live => {
                    document.phase = Phase::Deleted { at: now, places: vec![document.place.clone()] };
                    Ok(true)
                }
                Phase::Deleted { .. } => Err(Error::StoreNotFound),
            })
            .await?;
        let entry = self.index.write(&buried.document, EntryKind::Gone).await?;
        self.index.announce(buried.document.owner_id, &entry);
        Ok(())
    }

    /// Works on the removals that are due; how many there were. Two runs at once do no harm.
    pub async fn run(&self) -> Result<usize> {
        let options =
            ListOptions { prefix: layout::removals(), start_after: None, limit: MAX_REMOVALS.min(MAX_LIST_KEYS) };
        let page = self.objects.list(options).await?;
        let removals = page.objects.iter().filter_map(|object| Some((object, layout::parse_removal(&object.key)?)));
        let now = self.clock.now();
        let mut worked_on = 0;
        for (object, (due, id)) in removals.take_while(|(_, (due, _))| *due <= now) {
            if self.work_on(id, due, now).await? {
                self.objects.delete(&object.key, Precondition::None).await?;
            }
            worked_on += 1;
        }
        Ok(worked_on)
    }

    /// Does what a removal asks for; whether that is all.
    async fn work_on(&self, id: StoreId, due: Timestamp, now: Timestamp) -> Result<bool> {
        let Some(view) = self.documents.read(id).await? else { return Ok(true) };
        let Phase::Deleted { at, places } = &view.document.phase else {
            // The deletion has not come to its mark yet, or died before it.
            return Ok(now.since(due) > LONGEST_REQUEST);
        };
        for place in places {
            remove_records(self.objects.as_ref(), id, place).await?;
        }
        if now.since(*at) < LONGEST_REQUEST {
            let entry = self.index.write(&view.document, EntryKind::Gone).await?;
            self.index.announce(view.document.owner_id, &entry);
            self.schedule(id, at.plus(LONGEST_REQUEST)).await?;
            return Ok(true);
        }
        let Document { owner_id, name, pending_name, .. } = &view.document;
        for name in [name, pending_name].into_iter().flatten() {
            self.claims.forget(owner_id, &name.folded(), id).await?;
        }
        self.objects.delete(&layout::document(&id), Precondition::None).await?;
        Ok(true)
    }

    /// Sees to it that a store's records are removed once it is marked as deleted.
    async fn schedule(&self, id: StoreId, due: Timestamp) -> Result<()> {
        put_control(self.objects.as_ref(), &layout::removal(due, &id), Vec::new(), Precondition::None).await?;
        Ok(())
    }
}

/// Removes all records of one place, in batches; what a run does not come to, the next one does.
async fn remove_records(objects: &dyn ObjectStore, id: StoreId, place: &Place) -> Result<()> {
    loop {
        let options = ListOptions { prefix: layout::records(&id, place), start_after: None, limit: MAX_DELETE_KEYS };
        let page = objects.list(options).await?;
        if page.objects.is_empty() {
            return Ok(());
        }
        objects.delete_many(page.objects.into_iter().map(|object| object.key).collect()).await?;
        if !page.is_truncated {
            return Ok(());
        }
    }
}
