//! The record of an installation's time, which survives restarts.

use serde::{Deserialize, Serialize};

use super::{jump::Jump, timestamp::Timestamp};

/// State of the clock of an installation, shared by its gateways and kept across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockRecord {
    /// Latest wall time since the last jump.
    pub wall_time: Timestamp,
    /// Accumulated running time of the installation in milliseconds.
    pub uptime_millis: u64,
    /// Number of times an operator confirmed the wall time.
    pub confirmations: u64,
    /// Suspension of deletions in force, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspension: Option<RecordedSuspension>,
    /// Forward jumps that expiry times may still depend on, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jumps: Vec<Jump>,
}

/// Recorded suspension of deletions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedSuspension {
    /// Wall time at which it began.
    pub since: Timestamp,
    /// Uptime in milliseconds at which it ends by itself.
    pub until_uptime_millis: u64,
    /// Reason for logs and operators.
    pub reason: String,
    /// Wall time without the jump, when the record was written.
    pub reference: Timestamp,
    /// Wall time without the jump, at the last jump.
    pub jumped_at: Timestamp,
    /// Earliest change that a forward jump covers; `None` covers everything alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_from: Option<Timestamp>,
}
