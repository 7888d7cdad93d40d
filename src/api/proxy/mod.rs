//! Requests to other servers: calls that the leader performs, and datasets and request queues at the upstream.

pub mod extend_via_leader;
pub mod leader;
pub mod upstream;
