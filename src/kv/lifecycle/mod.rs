//! The life cycle of a store: state machine, due queue and reconciler; expiry, relocation, deletion; and what the
//! object store deletes by itself.
//!
//! It neither serves requests about records nor lists stores.

pub mod abandoned_uploads;
pub mod bucket_rules;
pub mod canary;
pub mod copier;
pub mod deletion;
pub mod due_queue;
pub mod expiry_extension;
pub mod reconciler;
pub mod relocation;
pub mod state_machine;
