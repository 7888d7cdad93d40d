//! All targets.

use crate::invariants::{
    accounts, documents, encodings, exports, http, keys, lifecycle_rules, object_store, requests, runs, settings,
};

/// Parser with its invariants.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the target and of the folder with its seeds.
    pub name: &'static str,
    /// Check that panics if an invariant does not hold for these bytes.
    pub check: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "route", check: requests::route },
    Target { name: "query", check: requests::query },
    Target { name: "range", check: requests::range },
    Target { name: "conditions", check: requests::conditions },
    Target { name: "content", check: requests::content },
    Target { name: "json_body", check: requests::json_body },
    Target { name: "signature", check: accounts::signature },
    Target { name: "token", check: accounts::token },
    Target { name: "scope", check: accounts::scope },
    Target { name: "user", check: accounts::user },
    Target { name: "record_key", check: keys::record_key },
    Target { name: "key_range", check: keys::key_range },
    Target { name: "names", check: keys::names },
    Target { name: "layout", check: keys::layout },
    Target { name: "document", check: documents::document },
    Target { name: "schema", check: documents::schema },
    Target { name: "coding", check: encodings::coding },
    Target { name: "run", check: runs::run },
    Target { name: "index_line", check: exports::index_line },
    Target { name: "file_name", check: exports::file_name },
    Target { name: "file_names", check: exports::file_names },
    Target { name: "zip", check: exports::zip },
    Target { name: "setting", check: settings::setting },
    Target { name: "config_file", check: settings::file },
    Target { name: "answer", check: http::answer },
    Target { name: "chunks", check: http::chunks },
    Target { name: "origin", check: http::origin },
    Target { name: "listing", check: object_store::listing },
    Target { name: "refusal", check: object_store::refusal },
    Target { name: "validator", check: object_store::validator },
    Target { name: "lifecycle", check: lifecycle_rules::lifecycle },
];

/// Returns the target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
