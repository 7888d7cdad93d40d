//! What a migration of a whole installation has to know of stores: where it writes down how far it has come, and what it copies.
//!
//! It copies nothing itself: `gateway` does.

mod journal;
mod objects;
mod state;

pub use journal::{JournalError, MigrationJournal};
pub use objects::{PREFIXES, belongs_to_backend, may_expire};
pub use state::{MigrationState, MigrationStep};
