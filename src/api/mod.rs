//! The REST contract of the Apify platform's key-value store.
//!
//! A request becomes a call (`routing`), a call a response (`service`, `operations`), a failure an error in the
//! platform's format (`message`). This module knows HTTP and the contract. It does not know the backend, and it reaches
//! a store only through an `auth::Grant`.

mod audit;
mod context;
mod description;
mod limits;
mod message;
mod operations;
mod proxy;
mod request_telemetry;
mod routing;
mod service;

pub use context::{ApiOptions, ApiState};
pub use description::Description;
pub use limits::rate_limits::RateOptions;
pub use message::{links::LinkOrigin, request::REQUEST_ID, response::ResponseBody};
pub use proxy::{extend_via_leader::LeaderExtension, upstream::Upstream};
pub use service::Api;

/// Items that the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        message::{browser_policy, content, preconditions, request},
        operations::json_body,
        routing::{
            route::{self, Endpoint, ProxiedCall},
            run_routes::RunsCall,
            store_routes::StoreCall,
        },
    };
}
