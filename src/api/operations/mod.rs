//! What is done for each call, one file for each family of endpoints. Every function here takes its store out of a grant.

pub mod activity;
mod archive;
mod keys;
mod record_read;
mod record_write;
mod run;
pub mod stores;
pub mod users;

pub use run::run;
