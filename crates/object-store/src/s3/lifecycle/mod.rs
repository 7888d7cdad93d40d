//! Lifecycle rules on a bucket: one document, which all its users read and write as a whole, without conditions.
//!
//! Rules of others stay unchanged to the byte. So this bypasses the SDK, which would drop unknown elements. Written
//! rules are read back and compared, since some object stores drop unknown elements, too, and a rule without its prefix
//! removes everything (Garage 2.5, Ceph RGW 16).

mod document;
mod reconciliation;
mod rules;

pub use reconciliation::{RuleReconciler, is_versioned};

/// Functions that the fuzz targets call beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use super::{
        document::Document,
        rules::{OwnRules, ReadBack, compare},
    };
}
