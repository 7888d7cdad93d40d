//! Appointments with stores: when somebody should look whether there is anything to do.
//!
//! An appointment is an object whose key says when and which store; the store's document alone says what is to be done. It
//! is made before the document is written that gives the reason, so that no crash leaves a store that nobody looks at
//! again. One too many does no harm.

use std::sync::Arc;

use crate::{
    clock::{Clock, Random, Timestamp},
    storage::{ListOptions, MAX_LIST_KEYS, ObjectStore, Precondition},
};

use super::{documents::put_control, error::Result, id::StoreId, layout};

/// An appointment that is due.
#[derive(Debug, Clone)]
pub struct Appointment {
    /// The key of its object.
    key: String,
    /// When it was due.
    pub at: Timestamp,
    /// With which store.
    pub id: StoreId,
    /// Whether it was made for a change of the store that comes after it, and may not have come yet.
    pub is_announcement: bool,
}

/// All appointments.
#[derive(Debug)]
pub struct Appointments {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Appointments {
    /// The appointments in `objects`.
    pub fn new(objects: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { objects, clock, random }
    }

    /// Sees to it that somebody looks at a store then.
    pub async fn make(&self, id: StoreId, at: Timestamp) -> Result<()> {
        self.write(id, at, false).await
    }

    /// Sees to it that somebody looks at a store after it has been changed, which is about to happen.
    pub async fn announce(&self, id: StoreId) -> Result<()> {
        self.write(id, self.clock.now(), true).await
    }

    async fn write(&self, id: StoreId, at: Timestamp, is_announcement: bool) -> Result<()> {
        let mut mark = [0; 4];
        self.random.fill(&mut mark);
        let key = layout::appointment(at, &id, is_announcement, u32::from_be_bytes(mark));
        put_control(self.objects.as_ref(), &key, Vec::new(), Precondition::None).await?;
        Ok(())
    }

    /// The appointments that are due, at most [`MAX_LIST_KEYS`], the earliest first. One list.
    pub async fn due(&self) -> Result<Vec<Appointment>> {
        let options = ListOptions { prefix: layout::appointments(), start_after: None, limit: MAX_LIST_KEYS };
        let page = self.objects.list(options).await?;
        let now = self.clock.now();
        let appointments = page.objects.into_iter().filter_map(|object| {
            let (at, id, is_announcement) = layout::parse_appointment(&object.key)?;
            Some(Appointment { key: object.key, at, id, is_announcement })
        });
        Ok(appointments.take_while(|appointment| appointment.at <= now).collect())
    }

    /// Forgets appointments that were kept.
    pub async fn forget(&self, kept: Vec<Appointment>) -> Result<()> {
        self.objects.delete_many(kept.into_iter().map(|appointment| appointment.key).collect()).await?;
        Ok(())
    }
}
