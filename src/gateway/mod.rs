//! The composition root: builds everything from the configuration, and mounts the API and health.
//!
//! [`Gateway`] is a whole Larder, from its socket to its data. This module depends on all others and contains no
//! logic of its own.

mod access_log;
mod backend;
mod bootstrap;
mod diagnosis;
mod error;
mod health;
mod http_router;
#[cfg(feature = "s3")]
mod migration;
mod observability;
mod reload;
mod role;
mod start;

pub use bootstrap::{AdminToken, AdminTokenError, TokenOrigin};
pub use diagnosis::{Diagnosis, Mode, Progress};
pub use error::{StartError, StopError};
#[cfg(feature = "s3")]
pub use migration::{
    Direction, MigrationError, MigrationOptions, MigrationPhase, MigrationProgress, MigrationReport, ProgressSnapshot,
    Verification, migrate,
};
pub use reload::Reloader;
pub use role::BackendAccess;
pub use start::Gateway;
