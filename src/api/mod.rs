//! The REST contract of the Apify platform's key-value store.
//!
//! A request becomes a call (`route`), a call a response (`service`, `operations`), a failure an error in the
//! platform's format (`error`). This module knows HTTP and the contract. It does not know the backend, and it reaches a
//! store only through an `auth::Grant`.

mod administration;
mod admission;
mod audit;
mod conditions;
mod content;
mod context;
mod cors;
mod description;
mod envelope;
mod error;
mod error_conversion;
mod forwarding;
mod json_body;
mod links;
mod meter;
mod negotiation;
mod operation;
mod operations;
mod query;
mod quotas;
mod rate_limits;
mod reply;
mod reply_body;
mod request;
mod route;
mod run_object;
mod run_route;
mod service;
mod store_route;
mod streams;
mod told_renewals;
mod unopened_body;
mod upstream;
mod watching;

pub use context::{ApiOptions, ApiParts};
pub use description::Description;
pub use links::LinkOrigin;
pub use rate_limits::RateOptions;
pub use reply_body::ReplyBody;
pub use request::REQUEST_ID;
pub use service::Api;
pub use told_renewals::ToldRenewals;
pub use upstream::Upstream;

/// What the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        query::Query,
        route::{Endpoint, ServedElsewhere},
        run_route::RunsCall,
        store_route::StoreCall,
    };

    pub mod conditions {
        pub use super::super::conditions::*;
    }
    pub mod content {
        pub use super::super::content::*;
    }
    pub mod json_body {
        pub use super::super::json_body::*;
    }
    pub mod negotiation {
        pub use super::super::negotiation::*;
    }
    pub mod request {
        pub use super::super::request::*;
    }
    pub mod route {
        pub use super::super::route::*;
    }
}
