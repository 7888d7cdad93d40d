//! How the catalog is to behave.

use std::{sync::Arc, time::Duration};

use crate::clock::ClockGuard;

use super::{cache::CacheOptions, retention::Retention, safeguards::Safeguards};

/// Options of the catalog.
#[derive(Debug, Clone)]
pub struct CatalogOptions {
    /// How long new unnamed stores live after their last change.
    pub retention: Retention,
    /// What is remembered of stores.
    pub cache: CacheOptions,
    /// How often it is counted at most what is in a store that keeps changing.
    pub count_interval: Duration,
    /// Where the object store removes records by lifecycle class, how long other gateways may believe in what was before;
    /// `None` where nothing but the sweep removes them, so that all records are kept outside the classes.
    pub classes: Option<Duration>,
    /// Guard over deletions; `None` trusts the clock of the catalog without conditions.
    pub clock_guard: Option<Arc<ClockGuard>>,
    /// Uptime of the installation between the first look that finds a store expired and the one that deletes it.
    pub expiry_confirmation: Duration,
    /// What keeps moves safe: all of it, but in simulations.
    pub safeguards: Safeguards,
}

impl CatalogOptions {
    /// Usual time between the two looks: an hour, and a margin for the coarseness of the recorded uptime.
    pub const EXPIRY_CONFIRMATION: Duration = Duration::from_mins(65);

    /// Shortest time between the two looks that withstands a clock which is wrong for an hour.
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
