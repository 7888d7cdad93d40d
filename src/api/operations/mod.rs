//! Handlers of all calls, one file for each family of endpoints. Every function here takes its store from a grant.

pub mod account_limits;
pub mod accounts;
pub mod activity;
mod archive;
mod archive_entry;
mod clock;
mod description;
mod keys;
mod metrics;
mod record_read;
mod record_write;
pub mod relay;
mod run;
pub mod run_changes;
mod run_environment;
pub mod runs;
mod sharing;
pub mod stores;
pub mod tokens;
mod usage;
pub mod users;
mod view_link;

pub use description::description;
pub use metrics::metrics;
pub use run::run;
pub use usage::of_all as usage;
