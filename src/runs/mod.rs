//! Runs of actors: ids, statuses, and the store of each run.
//!
//! Larder starts no program: the client that is about to start one creates the run, and sends heartbeats while it is
//! active. [`RunRepository`] holds the runs, and [`RunStatus`] defines the transitions. [`RunRepository::check_run`] supervises active
//! runs, and [`RunRepository::remove`] deletes finished ones. This module knows no HTTP and no caller.

mod actor;
mod layout;
mod lists;
mod run;
mod run_repository;
mod run_supervision;
mod status;

pub use actor::{ActorKind, ActorName, InvalidActorName, build_id};
pub use layout::{DueItem, PREFIXES, Queue, RunIdentity};
pub use lists::{RunFilter, RunPage, RunScope};
pub use run::{MAX_METAMORPHS, Metamorph, NewRun, Run, RunOrigin, RunSettings, RunUpdate, UpstreamIds, Uptimes};
pub use run_repository::{RunOptions, RunRepository, RunsError};
pub use run_supervision::RunCheck;
pub use status::{Outcome, RunStatus};

/// Items that the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::layout::Entry;
}
