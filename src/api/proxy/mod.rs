//! Requests to other servers: calls that the leader performs, and datasets and request queues at the upstream.
//!
//! * **Leader.** A follower forwards calls unchanged, after routing and before authorization: the leader alone decides
//!   on access. After a change the follower invalidates what it has cached of the changed store, so that its client
//!   sees its own change. Cache entries are invalidated by time, so that a concurrent read does not bring them back.
//! * **Upstream.** Larder has no datasets and request queues. The upstream sees one caller, so `operations` authorizes
//!   first: by the scope of the token, or by the run whose dataset or request queue it is.
//!
//! Bodies stream both ways, and no request is sent twice. Nothing here opens connections: that is `outbound`.

pub mod extend_via_leader;
pub mod leader;
pub mod upstream;
