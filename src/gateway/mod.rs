//! The composition root: builds everything from the configuration, and mounts the API and health.
//!
//! [`Gateway`] is a whole Larder, from its socket to its data. This module depends on all others and contains no rules
//! of the domain.
//!
//! # Role
//!
//! At the start the probe of the backend decides how gateways share it ([`BackendAccess`]), and `role.rs` derives the
//! role:
//!
//! | backend | role | conditional writes | staleness bound |
//! |---|---|---|---|
//! | data folder | standalone | by the engine | none |
//! | bucket with conditional writes | peer, one of any number | by the object store | yes |
//! | bucket without, `LARDER_LEADER=self` | leader | emulated by `storage::single_writer` | none |
//! | bucket without, address of the leader | follower | forwarded to the leader | yes |
//!
//! There is no election. The object store of a follower rejects conditions, so that no call that belongs to the leader
//! can be performed elsewhere by mistake. Reasons and alternatives: `docs/decisions/0006`.
//!
//! # Start
//!
//! 1. Bind the address, and start the serving threads.
//! 2. Open the backend, and probe a bucket.
//! 3. Derive the role, check the format, and join the installation. A follower waits for its leader to create it.
//! 4. Add the record cache, if this gateway is the only writer, and the fence of the installation outermost.
//! 5. Resume the clock record, then build accounts, catalog, runs, API and jobs.
//!
//! # Reload and stop
//!
//! `SIGHUP` loads the configuration as the start does, and [`Reloader`] applies the reloadable settings: all or none. A
//! request uses the settings with which it began.
//!
//! A stop drains the server (`server` has the steps), ends the jobs, finishes running changes and writes the counters,
//! then closes traces, backend and threads. A kill loses no acknowledged change, only usage counters since their last
//! flush.
//!
//! # Readiness and access log
//!
//! `health.rs` rereads the installation's object, at most every 10 seconds; while the check fails, the gateway is not
//! ready. `observability.rs` observes each request from its head to the end of the response body.

mod backend;
mod bootstrap;
mod diagnosis;
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
#[cfg(feature = "s3")]
pub use migration::{
    Direction, MigrationError, MigrationOptions, MigrationPhase, MigrationProgress, MigrationReport, ProgressSnapshot,
    Verification, migrate,
};
pub use reload::Reloader;
pub use role::BackendAccess;
pub use start::{Gateway, StartError, StopError};
