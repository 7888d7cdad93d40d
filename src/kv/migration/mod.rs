//! Support for the migration of a whole installation: its journal, and the objects to copy.
//!
//! The copying is done by `gateway`.

mod journal;
mod objects;
mod state;

pub use journal::{JournalError, MigrationJournal};
pub use objects::{PREFIXES, belongs_to_backend, may_expire};
pub use state::{MigrationState, MigrationStep};
