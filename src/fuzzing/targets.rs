//! All targets.

#[cfg(feature = "s3")]
use crate::storage::s3;
use crate::{api, auth, config, kv, runs, transfer};

/// Parser with its invariants.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The target's name: that of the folder with its seeds, and of the program that runs it.
    pub name: &'static str,
    /// Check that panics if an invariant does not hold for these bytes.
    pub check: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "route", check: api::properties::route },
    Target { name: "query", check: api::properties::query },
    Target { name: "range", check: api::properties::range },
    Target { name: "conditions", check: api::properties::conditions },
    Target { name: "content", check: api::properties::content },
    Target { name: "json_body", check: api::properties::json_body },
    Target { name: "signature", check: auth::properties::signature },
    Target { name: "token", check: auth::properties::token },
    Target { name: "scope", check: auth::properties::scope },
    Target { name: "user", check: auth::properties::user },
    Target { name: "record_key", check: kv::properties::record_key },
    Target { name: "key_range", check: kv::properties::key_range },
    Target { name: "names", check: kv::properties::names },
    Target { name: "layout", check: kv::properties::layout },
    Target { name: "document", check: kv::properties::document },
    Target { name: "schema", check: kv::properties::schema },
    Target { name: "coding", check: kv::properties::coding },
    Target { name: "run", check: runs::properties::run },
    Target { name: "index_line", check: transfer::properties::index_line },
    Target { name: "file_name", check: transfer::properties::file_name },
    Target { name: "file_names", check: transfer::properties::file_names },
    Target { name: "zip", check: transfer::properties::zip },
    Target { name: "setting", check: config::properties::setting },
    Target { name: "config_file", check: config::properties::file },
    #[cfg(feature = "s3")]
    Target { name: "answer", check: s3::properties::answer },
    #[cfg(feature = "s3")]
    Target { name: "chunks", check: s3::properties::chunks },
    #[cfg(feature = "s3")]
    Target { name: "origin", check: s3::properties::origin },
    #[cfg(feature = "s3")]
    Target { name: "listing", check: s3::properties::listing },
    #[cfg(feature = "s3")]
    Target { name: "refusal", check: s3::properties::refusal },
    #[cfg(feature = "s3")]
    Target { name: "validator", check: s3::properties::validator },
    #[cfg(feature = "s3")]
    Target { name: "lifecycle", check: s3::properties::lifecycle },
];

/// Runs the target of that name.
///
/// # Panics
/// If an invariant does not hold for these bytes, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("there is such a target");
    (target.check)(bytes);
}
