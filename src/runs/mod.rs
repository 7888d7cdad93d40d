//! Runs of actors: what they are called, how far they have come, and the store that each has.
//!
//! Nothing here starts a program: a run is made by whoever is about to start one, and tells by signs of life that it goes on.
//! [`Runs`] keeps the runs, [`RunStatus`] says what may become of one, what is due about them is done by [`Runs::attend`], and what
//! is over is deleted by [`Runs::remove`]. This room knows no HTTP and no caller.

mod actor;
mod attendance;
mod completion;
mod entries;
mod error;
mod layout;
mod list_counts;
mod lists;
#[cfg(any(test, fuzzing))]
pub mod properties;
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
