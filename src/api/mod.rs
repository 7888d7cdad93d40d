//! The REST contract of the Apify platform's key-value store.
//!
//! This module knows HTTP and the contract. It does not know the backend, and it reaches a store only through an
//! `auth::Grant`. It alone knows status codes and messages.
//!
//! A request goes through these steps (`service.rs`).
//!
//! 1. Call. `routing` turns method, path and query into a call, without look-ups.
//! 2. Permit. The request takes a permit of the concurrency limit (`limits`), unless a large body streams.
//! 3. Leader. On a follower, calls that belong to the leader are forwarded, before their token is looked up (`leader.rs`).
//! 4. Caller. The token's hash is looked up in memory, else by one read. Then the per-caller rate limit applies.
//! 5. Store. It is found by id, or by owner and name, in the cache; else by one read for an id, two for a name. The
//!    reads for a name of another owner do not depend on whether the store exists.
//! 6. Grant. Its inputs are the caller and the scope of the token; owner, shares and general access of the store; the
//!    kind of address; and the signature, if any. Then the rate limit of the store applies.
//! 7. Operation. A handler in `operations` takes its store from the grant. Only the grant opens the request body, so no
//!    byte of it is read for a caller without access.
//! 8. Response. `message` maps failures to the platform's errors, with an exhaustive match per layer. The cause of a
//!    5xx is logged once with the request id. The client gets the id and no cause.
//!
//! A request takes a snapshot of the reloadable options (`RuntimeConfig`) when it begins. The request context gets the
//! store and the run as soon as they are known, for costs and traces. `description` is the OpenAPI description.
//!
//! Bodies stream. Data that must be in memory as a whole is held by a lease of the memory budget, for the caller of the
//! request.

mod audit;
mod context;
mod description;
mod leader;
mod limits;
mod message;
mod operations;
mod request_telemetry;
mod routing;
mod service;
mod upstream;

pub use context::{ApiOptions, ApiState};
pub use description::Description;
pub use leader::LeaderExtension;
pub use limits::RateOptions;
pub use message::{
    request::REQUEST_ID,
    response::{LinkOrigin, ResponseBody},
};
pub use service::Api;
pub use upstream::Upstream;

/// Items that the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        message::{browser_policy, content, preconditions, request},
        operations::json_body,
        routing::{
            route::{self, Endpoint, ProxiedCall},
            routes::{RunsCall, StoreCall},
        },
    };
}
