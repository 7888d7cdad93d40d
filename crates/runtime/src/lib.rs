//! Time, outgoing connections and telemetry: the surroundings of a server's modules.
//!
//! * [`clock`] has the time and randomness, injected so that tests control both.
//! * [`network`] opens TCP connections to other servers. It knows no TLS, and keeps no connection.
//! * [`telemetry`] has the context of a request, logs, metrics and traces.
//!
//! Nothing here knows stores or records, sees a secret, or labels a metric with a value from outside.

pub mod clock;
pub mod network;
pub mod telemetry;
