//! An S3-compatible object store.
//!
//! Objects use a lean client of our own ([`http1`], [`signer`], [`transport`]), since Larder spends its time there;
//! everything else uses the AWS SDK ([`control_plane`]). A probe detects the differences between vendors;
//! they are never derived from a vendor's name.
//!
//! * Both clients use one pool of connections. Lifecycle rules ([`lifecycle`]) bypass the SDK: rules of other tools
//!   must not change by a byte.
//! * `transport.rs` has the attempts of a request: idempotent requests are retried, redirects of the bucket are
//!   followed. A write that was sent whole and got no response is never retried.
//! * `upload.rs` has the steps of uploads. A body of known length streams through. A body of unknown length is buffered
//!   in parts, charged to the memory budget as they arrive.
//! * `capabilities.rs` has the probe at the start, and its overrides.
//! * `signer.rs` has a request until it is serialized, and signs it with a key that is derived once a day. Credentials
//!   come from the settings or from AWS's default credential provider chain.
//! * The `Date` of responses supplies the time that all gateways use (`docs/decisions/0008`).
//!
//! An upload that fails is aborted at once if the object store itself reported the failure. Every other unfinished
//! upload is aborted by a job of `kv`, once it has made no progress for a day.
//!
//! This module knows neither gateways nor leaders: a bucket without conditional writes gets them from
//! [`single_writer`](crate::single_writer).

mod bucket;
mod capabilities;
mod control_plane;
mod credentials;
mod http1;
mod lifecycle;
mod lifecycle_document;
mod location;
mod object_headers;
mod response_documents;
mod signer;
mod store;
mod transport;
mod upload;

pub use bucket::{Encryption, OpenError, S3Options};
pub use capabilities::{CAPABILITIES_KEY, Capabilities};
pub use credentials::Credentials;
pub use http1::{Endpoint, InvalidEndpoint, Timeouts};
pub use location::AddressStyle;
pub use signer::{Signable, SigningTime, UNSIGNED_PAYLOAD, authorization};
pub use store::S3Store;

/// Functions that the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        http1::{Head, internals::*},
        lifecycle::{OwnRules, ReadBack, compare},
        lifecycle_document::Document,
        location::{Address, encode_into, query},
        object_headers::{unquote, vendor_part, with_attributes},
        response_documents::{ErrorContext, ErrorResponse, parse_copy, parse_list},
    };
}
