//! Configuration of the record cache, which requires that no other gateway writes.

use std::sync::Arc;

use crate::{
    clock::Clock,
    config::Config,
    kv,
    storage::{
        ObjectStore,
        cached::{CachedOptions, CachedStore},
    },
    telemetry::{Kind, Metrics, Sample},
};

use super::{error::StartError, role::Role};

/// Default size of the record cache over a folder, in bytes.
const DEFAULT_OF_FOLDER: u64 = 32 << 20;

/// Size of the record cache in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordCache {
    capacity_bytes: u64,
}

impl RecordCache {
    /// Returns the configured size for this gateway.
    pub(super) fn of(config: &Config, role: &Role) -> Result<Self, StartError> {
        let wanted = config.record_cache_bytes;
        let capacity_bytes = match role {
            Role::Alone => wanted.unwrap_or(DEFAULT_OF_FOLDER),
            Role::Equal | Role::Leader if config.is_exclusive_bucket => wanted.unwrap_or_default(),
            Role::Equal | Role::Leader | Role::Follower(_) => match wanted {
                None | Some(0) => 0,
                Some(_) => return Err(StartError::CacheOfMany),
            },
        };
        Ok(Self { capacity_bytes })
    }

    /// Wraps `objects` in the record cache, if enabled; `metrics` shows its hits and misses.
    pub(super) fn before(
        self,
        objects: Arc<dyn ObjectStore>,
        clock: &Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Arc<dyn ObjectStore> {
        let capacity_bytes = self.capacity_bytes;
        let options = CachedOptions { capacity_bytes, covers: kv::is_record };
        let cached = Arc::new(CachedStore::new(Arc::clone(&objects), Arc::clone(clock), options));
        show(&cached, metrics);
        if capacity_bytes == 0 { objects } else { cached }
    }
}

fn show(cached: &Arc<CachedStore>, metrics: &Metrics) {
    let uses = cached.uses().clone();
    let help = "Reads of small records, by whether they were in memory (hit), joined another read (joined), or were \
                read (miss).";
    metrics.watch("larder_record_cache_lookups_total", help, Kind::Counter, move || {
        [("hit", uses.hits()), ("joined", uses.joined()), ("miss", uses.misses())]
            .map(|(outcome, count)| Sample::labelled([("outcome", outcome)], count))
            .into()
    });
    let cached = Arc::clone(cached);
    let help = "Memory that records take which were read, about.";
    metrics.watch("larder_record_cache_bytes", help, Kind::Gauge, move || vec![Sample::plain(cached.held_bytes())]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(role: &Role, is_exclusive_bucket: bool, record_cache_bytes: Option<u64>) -> Option<u64> {
        let config = Config { is_exclusive_bucket, record_cache_bytes, ..Config::default() };
        RecordCache::of(&config, role).ok().map(|cache| cache.capacity_bytes)
    }

    #[test]
    fn records_are_kept_in_memory_only_where_nobody_else_writes_them() {
        assert_eq!(capacity(&Role::Alone, false, None), Some(DEFAULT_OF_FOLDER));
        assert_eq!(capacity(&Role::Alone, false, Some(0)), Some(0));
        for role in [Role::Equal, Role::Leader] {
            assert_eq!(capacity(&role, false, None), Some(0));
            assert_eq!(capacity(&role, false, Some(1 << 20)), None);
            assert_eq!(capacity(&role, true, Some(1 << 20)), Some(1 << 20));
        }
    }
}
