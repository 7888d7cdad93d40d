//! Runs of actors: ids, statuses, and the store of each run.
//!
//! Larder starts no program: the client that is about to start one creates the run, and sends heartbeats while it is
//! active. [`Runs`] holds the runs, and [`RunStatus`] defines the transitions. [`Runs::attend`] supervises active
//! runs, and [`Runs::remove`] deletes finished ones. This module knows no HTTP and no caller.

mod actor;
mod attendance;
mod completion;
mod entries;
mod error;
mod layout;
mod list_counts;
mod lists;
mod queues;
mod registry;
mod retention;
mod run;
mod status;
mod timeouts;
mod waiting;

pub use actor::{ActorKind, ActorName, InvalidActorName, build_id};
pub use attendance::Attended;
pub use entries::RunIdentity;
pub use error::RunsError;
pub use layout::{PREFIXES, Queue, QueueItem};
pub use list_counts::{RunFilter, RunsOf};
pub use lists::RunPage;
pub use registry::{RunOptions, Runs};
pub use run::{Elsewhere, MAX_METAMORPHS, Metamorph, NewRun, Run, RunOrigin, RunSettings, RunUpdate, Uptimes};
pub use status::{Outcome, RunStatus};

/// What the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::layout::Entry;
}
