//! An S3-compatible object store.
//!
//! Objects use a lean client of our own ([`wire`], [`signer`], [`transport`]), since Larder spends its time there;
//! everything else uses the AWS SDK ([`control`]). A probe detects the differences between vendors; they are never
//! derived from a vendor's name.

mod address;
mod advice;
mod bucket;
mod connector;
mod control;
mod credentials;
mod examination;
mod gather;
mod headers;
mod lifecycle;
mod listing;
mod object_head;
mod open;
mod options;
mod origin;
mod probe;
mod refusal;
mod request;
mod resolver;
mod signer;
mod signing_key;
mod slices;
mod sources;
mod store;
mod stored_coding;
mod transport;
mod upload;
mod validators;
mod wire;

pub use address::AddressStyle;
pub use credentials::Credentials;
pub use open::OpenError;
pub use options::{Encryption, S3Options};
pub use probe::{Findings, OUTCOME_KEY};
pub use signer::{Signable, SigningTime, UNSIGNED_PAYLOAD, authorization};
pub use store::S3Store;
pub use wire::{InvalidTarget, Target, Timeouts};

/// What the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        address::{Address, encode_into, query},
        lifecycle::internals::*,
        listing::{read_copy, read_list, unquoted},
        origin::Origin,
        refusal::Refusal,
        validators::{marked, unmarked},
        wire::{Head, internals::*},
    };
}
