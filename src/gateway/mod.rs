//! The composition root: builds everything from the configuration, and mounts the API and health.
//!
//! [`Gateway`] is a whole Larder, from its socket to its data. This module depends on all others and contains no
//! logic of its own.

mod access;
mod admin_token;
mod backend;
mod base_path;
mod diagnosis;
mod error;
mod first_user;
mod front;
mod gateway_metrics;
mod health;
#[cfg(feature = "s3")]
mod migration;
mod readiness;
mod record_cache;
mod reload;
mod role;
mod root;
mod start;
mod summary;
mod timekeeping;
mod traces;

pub use admin_token::{AdminToken, AdminTokenError, TokenOrigin};
pub use diagnosis::{Diagnosis, Mode, Progress};
pub use error::{StartError, StopError};
#[cfg(feature = "s3")]
pub use migration::{
    Direction, MigrationError, MigrationOptions, MigrationPhase, MigrationProgress, MigrationReport, ProgressSnapshot,
    Verification, migrate,
};
pub use reload::Reloading;
pub use role::Sharing;
pub use start::Gateway;
