//! Runs of actors: ids, statuses, and the store of each run.
//!
//! Larder starts no program: the client that is about to start one creates the run, and sends heartbeats while it is
//! active. [`RunRepository`] holds the runs, and [`RunStatus`] defines the transitions. [`RunRepository::check_run`]
//! supervises active runs, and [`RunRepository::remove`] deletes finished ones. This module knows no HTTP and no
//! caller.
//!
//! * **Document.** A run is one document. As for a store, each write is a compare-and-swap with a fresh nonce.
//! * **Status.** `status.rs` is the state machine, without I/O. A terminal status never changes. The uptime of the
//!   installation decides when the time of a run is over; no change of the wall clock moves it.
//! * **Queues.** Their items are only hints to check a run: active runs by uptime, finished runs by the end of their
//!   retention, and runs to be deleted after a second check, by uptime.
//! * **Lists.** Keys of entries begin with the time that is left until all digits are nines, so that a list has the
//!   newest run first without a scan. They also hold status and origin, so that a filter reads no document. `layout.rs`
//!   has the order in which entries and document are written.
//! * **Waiting.** Requests that wait for the end of a run share one read per second.
//! * **Tokens.** The document names the tokens of a run before they are created. They are revoked when the run is over.
//!
//! The names of a run's store resolve to its id in `api`. From there on a call is the same as by that id.
//!
//! A run is created in steps.
//!
//! 1. Schedule. An item of the queue of checks is written, with the identity of the run.
//! 2. Entries. The run gets its list entries. Readers skip entries without a document.
//! 3. Document: the commit point.
//!
//! A crash before step 3 leaves an item whose check deletes the entries. `run_repository.rs` has the steps of the
//! deletion.

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
