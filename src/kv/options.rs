//! Options of the catalog.

use std::{sync::Arc, time::Duration};

use crate::clock::ClockGuard;

use super::{cache::CacheOptions, retention::Retention, safeguards::Safeguards};

/// Options of the catalog.
#[derive(Debug, Clone)]
pub struct CatalogOptions {
    /// Retention of new unnamed stores after their last change.
    pub retention: Retention,
    /// Options of the cache.
    pub cache: CacheOptions,
    /// Minimum interval between counts of a store that keeps changing.
    pub count_interval: Duration,
    /// Staleness bound of other gateways, if the object store deletes records by lifecycle class; `None` if only the
    /// sweep deletes them, so all records are kept outside the classes.
    pub classes: Option<Duration>,
    /// Guard over deletions; `None` trusts the catalog's clock unconditionally.
    pub clock_guard: Option<Arc<ClockGuard>>,
    /// Uptime of the installation between the first check that finds a store expired and the one that deletes it.
    pub expiry_confirmation: Duration,
    /// Safeguards of moves: all, except in simulations.
    pub safeguards: Safeguards,
}

impl CatalogOptions {
    /// Default time between the two checks: an hour, plus a margin for the coarseness of the recorded uptime.
    pub const EXPIRY_CONFIRMATION: Duration = Duration::from_mins(65);

    /// Minimum time between the two checks that tolerates a clock which is wrong for an hour.
    pub const SHORTEST_SAFE_CONFIRMATION: Duration = Duration::from_hours(1);
}

impl Default for CatalogOptions {
    fn default() -> Self {
        Self {
            retention: Retention::DEFAULT,
            cache: CacheOptions::default(),
            count_interval: Duration::from_mins(1),
            classes: None,
            clock_guard: None,
            expiry_confirmation: Self::EXPIRY_CONFIRMATION,
            safeguards: Safeguards::ALL,
        }
    }
}
