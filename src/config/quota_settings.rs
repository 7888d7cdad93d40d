//! Settings of quotas, and of the recount of usage.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    setting::Setting,
    value::{count, show_size, show_time, size, time},
};

/// Bounds of the interval between recounts.
const ANY_INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 7);

/// Bounds of sizes.
const ANY_SIZE: RangeInclusive<u64> = 0..=1 << 60;

/// Bounds of numbers.
const ANY_NUMBER: RangeInclusive<usize> = 0..=1 << 50;

/// Quotas, and the recount of usage.
pub(super) static SETTINGS: &[Setting] = &[
    Setting {
        name: "max_user_stores",
        value: "NUMBER",
        help: "Stores that one user may have, if nothing else is set for him; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.stores = number(text)?;
            Ok(())
        },
        show: |config| config.quota.stores.map(|number| number.to_string()),
    },
    Setting {
        name: "max_user_records",
        value: "NUMBER",
        help: "Records that one user may have in all his stores, if nothing else is set for him; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.records = number(text)?;
            Ok(())
        },
        show: |config| config.quota.records.map(|number| number.to_string()),
    },
    Setting {
        name: "max_user_size",
        value: "SIZE",
        help: "Stored bytes that one user may have in all his stores, if nothing else is set for him; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.bytes = some(size(text, ANY_SIZE)?);
            Ok(())
        },
        show: |config| config.quota.bytes.map(show_size),
    },
    Setting {
        name: "max_store_records",
        value: "NUMBER",
        help: "Records that one store may have, if nothing else is set for its owner; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.store_records = number(text)?;
            Ok(())
        },
        show: |config| config.quota.store_records.map(|number| number.to_string()),
    },
    Setting {
        name: "max_store_size",
        value: "SIZE",
        help: "Stored bytes that one store may have, if nothing else is set for its owner; 0 for no limit",
        is_secret: false,
        apply: |config, text| {
            config.quota.store_bytes = some(size(text, ANY_SIZE)?);
            Ok(())
        },
        show: |config| config.quota.store_bytes.map(show_size),
    },
    Setting {
        name: "count_interval",
        value: "TIME",
        help: "How often it is counted at most what is in a store that keeps changing",
        is_secret: false,
        apply: |config, text| {
            config.catalog.count_interval = time(text, ANY_INTERVAL)?;
            Ok(())
        },
        show: |config| Some(show_time(config.catalog.count_interval)),
    },
];

fn number(text: &str) -> Result<Option<u64>, String> {
    Ok(some(count(text, ANY_NUMBER)? as u64))
}

fn some(limit: u64) -> Option<u64> {
    Some(limit).filter(|limit| *limit > 0)
}
