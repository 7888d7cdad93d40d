//! An S3-compatible object store.
//!
//! Objects use a lean client of our own ([`http1`], [`signer`], [`transport`]), since Larder spends its time there;
//! everything else uses the AWS SDK ([`bucket_admin`], [`multipart`]). A probe detects the differences between vendors;
//! they are never derived from a vendor's name.

mod bucket;
mod bucket_admin;
mod capabilities;
mod credential_chain;
mod credentials;
mod error_response;
mod etag;
mod http1;
mod lifecycle;
mod listing;
mod location;
mod multipart;
mod object_headers;
mod open;
mod part_body;
mod request;
mod sdk_connector;
mod signer;
mod store;
mod transport;
mod upload;

pub use capabilities::{CAPABILITIES_KEY, Capabilities};
pub use credentials::Credentials;
pub use http1::{Endpoint, InvalidEndpoint, Timeouts};
pub use location::AddressStyle;
pub use open::{Encryption, OpenError, S3Options};
pub use signer::{Signable, SigningTime, UNSIGNED_PAYLOAD, authorization};
pub use store::S3Store;

/// Functions that the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        error_response::{ErrorContext, ErrorResponse},
        etag::{unquote, vendor_part, with_attributes},
        http1::{Head, internals::*},
        lifecycle::internals::*,
        listing::{parse_copy, parse_list},
        location::{Address, encode_into, query},
    };
}
