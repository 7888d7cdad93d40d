//! A stand-in for MinIO, whose binary no package registry has: an object store in this process that does what S3 does, and
//! can be told to do instead what MinIO does, each deviation by itself.
//!
//! What it plays is documented by MinIO, by its source or by issues in its repository; the place stands beside each
//! switch (`deviations`). It was never compared with a running MinIO. It looks at no signature, keeps everything in memory
//! and answers only what a gateway asks.

mod answer;
mod deviations;
mod keys;
mod listing;
mod objects;
mod request;
mod rules;
mod server;
mod state;
mod uploads;

pub(crate) use deviations::{Conflicts, Deviations};
pub(crate) use rules::{OTHERS, RuleWays};
pub(crate) use server::MinIo;
