//! Runs of actors: what they are called, how far they have come, and the store that each has.
//!
//! Nothing here starts a program: a run is made by whoever is about to start one, and tells by signs of life that it goes on.
//! [`Runs`] keeps the runs, [`RunStatus`] says what may become of one, and what is due about them is done by [`Runs::attend`]. This
//! room knows no HTTP and no caller.

mod actor;
mod attendance;
mod error;
mod layout;
mod lists;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod registry;
mod run;
mod status;

pub use actor::{ActorKind, ActorName, InvalidActorName, build_id};
pub use attendance::{Attended, DueRun};
pub use error::RunsError;
pub use lists::{RunFilter, RunPage, RunsOf};
pub use registry::{RunOptions, Runs};
pub use run::{Elsewhere, MAX_METAMORPHS, Metamorph, NewRun, Run, RunOrigin, RunSettings, RunUpdate};
pub use status::{Outcome, RunStatus};
