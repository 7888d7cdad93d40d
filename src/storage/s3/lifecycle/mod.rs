//! Lifecycle rules on a bucket: one document, which is read and written whole, without conditions, by all who use it.
//!
//! Rules of others stay byte for byte as they are, which is why this goes past the SDK: it would drop whatever it does not
//! know. What was written is read back and compared, since there are object stores that drop what they do not know, too, and
//! a rule without its prefix removes everything (Garage 2.5, Ceph RGW 16).

mod comparison;
mod document;
mod element;
mod own;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod reconciliation;
mod requests;
mod rules;

pub use requests::keeps_versions;
pub use rules::Rules;
