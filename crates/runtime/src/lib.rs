//! Time, outgoing connections and telemetry: the surroundings of a server's modules.
//!
//! [`clock`] has the time and randomness, injected so that tests control both. [`network`] opens connections.
//! [`telemetry`] has the context of a request, logs, metrics and traces. Nothing here knows stores or records.

pub mod clock;
pub mod network;
pub mod telemetry;
