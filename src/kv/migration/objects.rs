//! Objects of this module that a migration copies: all except those about one object store.

use super::super::{layout, retention::LifecycleClass};

/// Prefixes of all objects of this module that a migration copies, each a folder whose keys are listed in byte order,
/// or one object.
pub const PREFIXES: [&str; 9] = [
    "larder/stores/",
    "larder/names/",
    "larder/permanent/",
    "larder/expiring/",
    "larder/store-index/",
    "larder/store-usage/",
    "larder/stores-due/",
    "larder/stores-due-by-uptime/",
    layout::CLOCK,
];

/// Returns whether an object concerns only the object store it is in: the canaries of lifecycle rules.
pub fn belongs_to_backend(key: &str) -> bool {
    key == layout::canaries()
        || key == layout::kept_canary()
        || LifecycleClass::ALL.into_iter().any(|class| key == layout::passing_canary(class))
}

/// Returns whether a lifecycle rule may delete the object at any time.
pub fn may_expire(key: &str) -> bool {
    LifecycleClass::ALL.into_iter().any(|class| key.starts_with(&layout::class(class)))
}
