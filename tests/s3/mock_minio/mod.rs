//! A mock of MinIO, whose binary no package registry has: an object store in this process that behaves like S3,
//! and can be switched to MinIO's behaviour, each deviation by itself.
//!
//! MinIO's documentation, its source or issues in its repository document each deviation; the reference is beside each
//! switch (`deviations`). The mock was never compared with a running MinIO. It checks no signature, keeps
//! everything in memory and answers only the requests of a gateway.

mod deviations;
mod http;
mod listing;
mod objects;
mod rules;
mod server;
mod state;
mod uploads;

pub(crate) use deviations::{Conflicts, Deviations};
pub(crate) use rules::{OTHERS, RuleWays};
pub(crate) use server::MockMinio;
