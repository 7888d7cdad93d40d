//! Brings an object store in order that was filled by a version which knew no expiry: every unnamed store is given an end,
//! and every store an appointment. Only when all records stand where their stores' documents say that they should may
//! lifecycle rules be written: they delete what stands in the wrong place.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::storage::{self, GetOptions, ListOptions, MAX_LIST_KEYS, ObjectStore, Precondition};

use super::{
    appointments::Appointments,
    control::put_control,
    document::{DOCUMENT_FORMAT, Document, Phase},
    documents::Documents,
    error::{Error, Result},
    id::StoreId,
    layout,
    life::{self, LifeRules},
};

/// Documents that are read at the same time.
const CONCURRENCY: usize = 16;

/// The most bytes of the note that says what is in order.
const MAX_NOTE_BYTES: u64 = 4096;

/// Says that everything was in order once: what has been made since is so from the beginning.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    /// The format of documents at that time.
    format: u32,
}

/// Brings everything in order.
#[derive(Debug)]
pub struct Order {
    objects: Arc<dyn ObjectStore>,
    documents: Arc<Documents>,
    appointments: Arc<Appointments>,
    rules: Arc<LifeRules>,
}

impl Order {
    /// The order of `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        documents: Arc<Documents>,
        appointments: Arc<Appointments>,
        rules: Arc<LifeRules>,
    ) -> Self {
        Self { objects, documents, appointments, rules }
    }

    /// Whether everything is in order. Until it was so once, each call goes through all documents and sees to it that what is
    /// not will be; afterwards it costs one small read.
    pub async fn restore(&self) -> Result<bool> {
        if self.is_noted().await? {
            return Ok(true);
        }
        let prefix = layout::documents();
        let (mut start_after, mut unordered) = (None, 0_usize);
        loop {
            let options = ListOptions { prefix: prefix.clone(), start_after, limit: MAX_LIST_KEYS };
            let page = self.objects.list(options).await?;
            start_after = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
            let ids = page.objects.iter().filter_map(|object| layout::parse_document(&object.key));
            let looks = stream::iter(ids.collect::<Vec<_>>()).map(|id| self.look_at(id));
            unordered += looks
                .buffer_unordered(CONCURRENCY)
                .try_fold(0, async |count, is_in_order| Ok(count + usize::from(!is_in_order)))
                .await?;
            if start_after.is_none() {
                break;
            }
        }
        if unordered > 0 {
            tracing::info!(stores = unordered, "stores are being brought in order");
            return Ok(false);
        }
        self.note().await?;
        Ok(true)
    }

    /// Whether a store is in order; if not, it will be.
    async fn look_at(&self, id: StoreId) -> Result<bool> {
        let Some(view) = self.documents.read(id).await? else { return Ok(true) };
        let (now, document) = (self.documents.expiry_base(), &view.document);
        let is_moving = document.movement().is_some() || self.rules.needed_move(document, now).is_some();
        if document.format == DOCUMENT_FORMAT && !is_moving {
            return Ok(true);
        }
        // An appointment first, so that whatever is written next is looked after.
        self.appointments.announce(id).await?;
        let ordered = self.documents.update_from(view, |document| Ok(give_end(document, now))).await?;
        if let Some(at) = self.rules.next_look(&ordered.document, now).filter(|at| *at > now) {
            self.appointments.make(id, at).await?;
        }
        Ok(!is_moving)
    }

    async fn is_noted(&self) -> Result<bool> {
        let object = match self.objects.get(layout::ORDER, GetOptions::default()).await {
            Ok(object) => object,
            Err(storage::Error::NotFound) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let bytes = object.body.into_bytes(MAX_NOTE_BYTES).await.map_err(Error::Body)?;
        let note: Note = serde_json::from_slice(&bytes).map_err(|error| Error::Corrupt(error.to_string()))?;
        Ok(note.format >= DOCUMENT_FORMAT)
    }

    async fn note(&self) -> Result<()> {
        let note = serde_json::to_vec(&Note { format: DOCUMENT_FORMAT });
        let note = note.map_err(|error| Error::Corrupt(error.to_string()))?;
        put_control(self.objects.as_ref(), layout::ORDER, note, Precondition::None).await?;
        Ok(())
    }
}

/// Writes a document of an older format in this one. When an unnamed store was changed last, it does not know for certain: it
/// lives its retention from now on.
fn give_end(document: &mut Document, now: crate::clock::Timestamp) -> bool {
    let is_old = document.format < DOCUMENT_FORMAT;
    let is_store = !matches!(document.phase, Phase::Creating | Phase::Deleted { .. });
    if is_old && is_store && document.name.is_none() && document.expires_at.is_none() {
        document.expires_at = Some(life::end_of_life(document.retention, now));
    }
    is_old
}
