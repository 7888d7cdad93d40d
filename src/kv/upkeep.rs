//! Keeps appointments with stores: sweeps what has expired, removes what was deleted, moves what stands in the wrong place.
//!
//! Any number of gateways may do so at once: each change of a store is a conditional write of its document, and everything
//! else can be done twice.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::clock::{Clock, Timestamp};

use super::{
    appointments::{Appointment, Appointments},
    document::Phase,
    documents::Documents,
    error::{Error, Result},
    id::StoreId,
    life::{self, LONGEST_REQUEST, LifeRules, STALL},
    mover::Mover,
    removal::Removals,
    view::StoreView,
};

/// Stores that are worked on at the same time.
const CONCURRENCY: usize = 8;

/// The most lists of appointments that one run goes through.
const MAX_PAGES: usize = 100;

/// How long an appointment is kept that was made for a change which has not been made yet: after that, it never will be.
const PATIENCE: Duration = Duration::from_mins(5);

/// Keeps appointments.
#[derive(Debug)]
pub struct Upkeep {
    documents: Arc<Documents>,
    appointments: Arc<Appointments>,
    removals: Arc<Removals>,
    mover: Arc<Mover>,
    rules: Arc<LifeRules>,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    stop: CancellationToken,
    expired: Arc<AtomicU64>,
}

/// What is left to do about a store after a look at it.
enum Next {
    /// Nothing: it is gone, or somebody has made an appointment already.
    Nothing,
    /// To look again then, if that will be necessary.
    Look(Option<Timestamp>),
    /// To look again soon: what the appointment was made for has not happened yet.
    Wait,
}

impl Upkeep {
    /// Keeps `appointments`.
    pub fn new(
        documents: Arc<Documents>,
        appointments: Arc<Appointments>,
        removals: Arc<Removals>,
        mover: Arc<Mover>,
        rules: Arc<LifeRules>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Self { documents, appointments, removals, mover, rules, clock, tasks, stop, expired: Arc::default() }
    }

    /// Keeps the appointments that are due; with how many stores. What fails is tried again by the next run, and the first
    /// reason is the error.
    pub async fn run(self: &Arc<Self>) -> Result<usize> {
        // Whatever is left half done by a stop, the next run does again.
        self.stop.run_until_cancelled(self.keep_due()).await.unwrap_or(Ok(0))
    }

    async fn keep_due(self: &Arc<Self>) -> Result<usize> {
        let mut kept = 0;
        for _ in 0..MAX_PAGES {
            let mut stores = HashMap::<StoreId, Vec<Appointment>>::new();
            for appointment in self.appointments.due().await? {
                stores.entry(appointment.id).or_default().push(appointment);
            }
            let attended: Vec<Result<usize>> = stream::iter(stores.into_values())
                .map(|appointments| self.keep(appointments))
                .buffer_unordered(CONCURRENCY)
                .collect()
                .await;
            let done = attended.into_iter().sum::<Result<usize>>()?;
            kept += done;
            // A page that is worked on to its end may have another behind it.
            if done == 0 {
                break;
            }
        }
        Ok(kept)
    }

    /// Moves a store in the background, if it has to move.
    pub fn move_if_needed(self: &Arc<Self>, view: &StoreView) {
        if matches!(view.document.phase, Phase::Live)
            && self.rules.needed_move(&view.document, self.clock.now()).is_some()
        {
            self.carry(view.document.id);
        }
    }

    /// Waits until the moves that have begun here are done.
    pub async fn moved(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// How many stores were removed here since they had expired.
    pub fn expired(&self) -> &Arc<AtomicU64> {
        &self.expired
    }

    /// Leaves everything to others, what has begun here included.
    pub fn leave(&self) {
        self.stop.cancel();
    }

    /// Looks at a store whose appointments are due; one if that is done, none if they stay.
    async fn keep(self: &Arc<Self>, appointments: Vec<Appointment>) -> Result<usize> {
        let Some(last) = appointments.last() else { return Ok(0) };
        let id = last.id;
        match self.attend(&appointments).await? {
            Next::Wait => return Ok(0),
            Next::Nothing | Next::Look(None) => {}
            Next::Look(Some(at)) => self.appointments.make(id, at).await?,
        }
        self.appointments.forget(appointments).await?;
        Ok(1)
    }

    /// Does what there is to do about a store.
    async fn attend(self: &Arc<Self>, appointments: &[Appointment]) -> Result<Next> {
        let (Some(last), now) = (appointments.last(), self.clock.now()) else { return Ok(Next::Nothing) };
        let id = last.id;
        let is_early = appointments.iter().any(|made| made.is_announcement && now.since(made.at) < PATIENCE);
        let Some(view) = self.documents.read(id).await? else {
            // It is made before the document of a new store.
            return Ok(if now.since(last.at) < LONGEST_REQUEST { Next::Wait } else { Next::Nothing });
        };
        match &view.document.phase {
            Phase::Deleted { at, places } => {
                return self.removals.work_on(&view.document, *at, places).await.map(Next::Look);
            }
            Phase::Creating if now.since(view.document.created_at) >= LONGEST_REQUEST => {
                return self.removals.bury(view).await.map(|()| Next::Nothing);
            }
            Phase::Creating | Phase::Live | Phase::Copying(_) | Phase::Frozen(_) | Phase::Arriving(_) => {}
        }
        let view = self.removals.remove_leftovers(view).await?;
        if self.is_over(&view, now) {
            self.removals.bury_expired(view).await?;
            self.expired.fetch_add(1, Ordering::Relaxed);
            return Ok(Next::Nothing);
        }
        match self.rules.next_look(&view.document, now) {
            Some(at) if at <= now => {
                if self.rules.is_late(&view.document, now) {
                    tracing::error!(store = %id, "a store has to move before a lifecycle rule removes its records, and has not");
                }
                self.carry(id);
                Ok(Next::Look(Some(now.plus(STALL))))
            }
            _ if is_early => Ok(Next::Wait),
            at => Ok(Next::Look(at)),
        }
    }

    fn is_over(&self, view: &StoreView, now: Timestamp) -> bool {
        let is_over = life::sweep_time(&view.document).is_some_and(|at| at <= now);
        view.document.is_there() && (is_over || !self.rules.safeguards.sweeps_by_document)
    }

    fn carry(self: &Arc<Self>, id: StoreId) {
        let upkeep = Arc::clone(self);
        self.tasks.spawn(async move {
            match upkeep.stop.run_until_cancelled(upkeep.mover.carry(id)).await {
                None | Some(Ok(()) | Err(Error::StoreNotFound)) => {}
                Some(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(store = %id, error, "a move stopped, and will be carried on");
                }
            }
        });
    }
}
