//! The test kit: test doubles of object stores, and the object store that the environment names.
//!
//! Only dev-dependencies name this crate: nothing of it is in the product. The unit tests of `larder-object-store` cannot
//! use it, since the kit is compiled against that crate as a library: their types differ. Such tests stand in
//! `crates/object-store/tests`.

#![expect(clippy::missing_panics_doc, reason = "what fails in a test should end it at once")]

pub mod fault_injection;
pub mod no_conditional_writes;
#[cfg(feature = "s3")]
pub mod s3_backend;
