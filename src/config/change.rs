//! Differences between two configurations, and those that take effect without a restart.

use super::{load::Loaded, setting::Setting, settings::settings};

/// Settings that take effect on `SIGHUP`. The process was built from all others.
const LIVE: [&str; 21] = [
    "user",
    "user_token",
    "metrics_token",
    "public_url",
    "retention_days",
    "run_retention_days",
    "max_record_size",
    "max_caller_rate",
    "max_store_rate",
    "max_record_rate",
    "max_requests",
    "drain_delay",
    "log",
    "tls_cert",
    "tls_key",
    "trusted_proxies",
    "max_user_stores",
    "max_user_records",
    "max_user_size",
    "max_store_records",
    "max_store_size",
];

impl Setting {
    /// Returns whether a new value takes effect on `SIGHUP`, and not only at the next start.
    pub fn is_live(&self) -> bool {
        LIVE.contains(&self.name)
    }
}

impl Loaded {
    /// Returns the settings whose value differs in `other`.
    pub fn changes<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static Setting> + use<'a> {
        settings().filter(move |setting| {
            let secrets = [self, other].map(|loaded| loaded.fingerprint(setting));
            setting.show(&self.config) != setting.show(&other.config) || secrets[0] != secrets[1]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_live_setting_is_one() {
        for name in LIVE {
            assert!(settings().any(|setting| setting.name == name), "{name}");
        }
        assert_eq!(settings().filter(|setting| setting.is_live()).count(), LIVE.len());
    }
}
