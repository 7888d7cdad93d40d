//! Larder: the key-value store of the Apify platform over any object store.

pub mod api;
pub mod auth;
pub mod cli;
pub mod config;
pub mod console;
pub mod gateway;
pub mod import_export;
pub mod jobs;
pub mod kv;
pub mod outbound;
pub mod runs;
pub mod server;

pub use larder_object_store as storage;
pub use larder_runtime::{clock, network, telemetry};
