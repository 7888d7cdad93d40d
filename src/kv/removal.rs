//! Deleting stores, and removing what they leave behind.
//!
//! The first pass over a deleted store removes its records; the second, when no request that began before can still be
//! writing, what came late, and then the document and the name's claim.
//!
//! ```text
//! A  PUT record (slow)                      B  deletes the store, removes its records
//!    the object store takes the record         ...an hour later: removes it as well
//!    A reads the document: deleted. 404
//! ```

use std::sync::Arc;

use crate::{
    clock::{Clock, Timestamp},
    storage::{ListOptions, MAX_DELETE_KEYS, ObjectStore, Precondition},
};

use super::{
    appointments::Appointments,
    claims::Claims,
    document::{Document, Place},
    documents::Documents,
    error::{Error, Result},
    id::StoreId,
    index::Index,
    layout::{self, EntryKind},
    life::{self, LONGEST_REQUEST, LifeRules},
    view::StoreView,
};

/// Deletes stores.
#[derive(Debug)]
pub struct Removals {
    objects: Arc<dyn ObjectStore>,
    documents: Arc<Documents>,
    claims: Arc<Claims>,
    index: Arc<Index>,
    appointments: Arc<Appointments>,
    rules: Arc<LifeRules>,
    clock: Arc<dyn Clock>,
}

impl Removals {
    /// Removals from `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        documents: Arc<Documents>,
        claims: Arc<Claims>,
        index: Arc<Index>,
        appointments: Arc<Appointments>,
        rules: Arc<LifeRules>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { objects, documents, claims, index, appointments, rules, clock }
    }

    /// Marks a store as deleted and sees to it that its records go.
    pub async fn bury(&self, view: Arc<StoreView>) -> Result<()> {
        self.bury_if(view, |_| true).await
    }

    /// The same for a store that has expired, unless it has been changed meanwhile.
    pub async fn bury_expired(&self, view: Arc<StoreView>) -> Result<()> {
        let now = self.clock.now();
        let is_over = |document: &Document| {
            let sweep_time = life::sweep_time(document);
            sweep_time.is_some_and(|at| at <= now) || !self.rules.safeguards.sweeps_by_document
        };
        self.bury_if(view, is_over).await
    }

    async fn bury_if(&self, view: Arc<StoreView>, may_go: impl Fn(&Document) -> bool) -> Result<()> {
        let now = self.clock.now();
        self.appointments.announce(view.document.id).await?;
        let buried = self
            .documents
            .update_from(view, |document| if may_go(document) { life::bury(document, now) } else { Ok(false) })
            .await?;
        if !buried.document.is_there() {
            self.announce(&buried.document).await?;
        }
        Ok(())
    }

    /// Removes what a deleted store leaves behind; when to look again, or `None` when nothing of it is left.
    pub async fn work_on(&self, document: &Document, at: Timestamp, places: &[Place]) -> Result<Option<Timestamp>> {
        let id = document.id;
        for place in places {
            self.remove_records(id, place).await?;
        }
        if let Some(contents) = &document.contents {
            let entry = layout::counted_entry(&document.owner_id, &id, contents);
            self.objects.delete(&entry, Precondition::None).await?;
        }
        if self.clock.now().since(at) < LONGEST_REQUEST {
            self.announce(document).await?;
            return Ok(Some(at.plus(LONGEST_REQUEST)));
        }
        let Document { owner_id, name, pending_name, .. } = document;
        for name in [name, pending_name].into_iter().flatten() {
            self.claims.forget(owner_id, &name.folded(), id).await?;
        }
        self.objects.delete(&layout::document(&id), Precondition::None).await?;
        Ok(None)
    }

    /// Removes all records of one place, in batches; what a run does not come to, the next one does.
    pub async fn remove_records(&self, id: StoreId, place: &Place) -> Result<()> {
        loop {
            let options =
                ListOptions { prefix: layout::records(&id, place), start_after: None, limit: MAX_DELETE_KEYS };
            let page = self.objects.list(options).await?;
            if page.objects.is_empty() {
                return Ok(());
            }
            self.objects.delete_many(page.objects.into_iter().map(|object| object.key).collect()).await?;
            if !page.is_truncated {
                return Ok(());
            }
        }
    }

    /// Removes the places that nobody can still be reading from, and forgets them.
    pub async fn remove_leftovers(&self, view: Arc<StoreView>) -> Result<Arc<StoreView>> {
        let (now, id) = (self.clock.now(), view.document.id);
        let lifetime = self.rules.leftover_lifetime();
        let is_over = |since: Timestamp| now.since(since) >= lifetime;
        let over: Vec<_> = view.document.leftovers.iter().filter(|left| is_over(left.since)).cloned().collect();
        if over.is_empty() {
            return Ok(view);
        }
        // Read afresh: a place that counts is never removed, whatever an old view says.
        let view = self.documents.read(id).await?.ok_or(Error::StoreNotFound)?;
        for leftover in &over {
            if leftover.place != view.document.place {
                self.remove_records(id, &leftover.place).await?;
            }
        }
        let forget = |document: &mut Document| {
            let before = document.leftovers.len();
            document.leftovers.retain(|leftover| !over.contains(leftover));
            Ok(document.is_there() && document.leftovers.len() < before)
        };
        self.documents.update_from(view, forget).await
    }

    async fn announce(&self, document: &Document) -> Result<()> {
        let entry = self.index.write(document, EntryKind::Gone).await?;
        self.index.announce(document.owner_id, &entry);
        Ok(())
    }
}
