//! A setting: one name, from which its key, its variable and its flag follow. Values as people write them: sizes, times
//! and numbers.
//!
//! The error of a value is the second half of a sentence that begins with the value: the reason for the rejection, and
//! the correct form.

use std::{ops::RangeInclusive, time::Duration};

use crate::kv::Retention;

use super::options::Config;

/// Prefix of Larder's environment variables.
pub(super) const ENV_PREFIX: &str = "LARDER_";

/// Placeholder for a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// Settings that take effect on `SIGHUP`. The process was built from all others.
const RELOADABLE: [&str; 21] = [
    "user",
    "user_token",
    "metrics_token",
    "public_url",
    "retention_days",
    "run_retention_days",
    "max_record_size",
    "max_client_rps",
    "max_store_rps",
    "max_record_rps",
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

/// A setting.
pub struct Setting {
    /// The setting's name, which is also its key in the file.
    pub name: &'static str,
    /// Kind of its value, for the help of its flag.
    pub value: &'static str,
    /// Its description, as a sentence without the full stop.
    pub help: &'static str,
    /// True if it is a secret. A secret has no flag (other users of the machine see flags), and its value is never
    /// shown.
    pub is_secret: bool,
    pub(super) apply: fn(&mut Config, &str) -> Result<(), String>,
    pub(super) show: fn(&Config) -> Option<String>,
}

impl Setting {
    /// Returns the name of its environment variable: `LARDER_MAX_RECORD_SIZE`.
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// Returns the name of its flag, without the dashes: `max-record-size`; `None` for a secret.
    pub fn flag(&self) -> Option<String> {
        (!self.is_secret).then(|| self.name.replace('_', "-"))
    }

    /// Returns its value in `config` as written in the file, or `None` if it is not set. Secrets are redacted.
    pub fn show(&self, config: &Config) -> Option<String> {
        let shown = (self.show)(config)?;
        Some(if self.is_secret { REDACTED.to_owned() } else { shown })
    }

    /// Returns whether a new value takes effect on `SIGHUP`, and not only at the next start.
    pub fn is_reloadable(&self) -> bool {
        RELOADABLE.contains(&self.name)
    }
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Units of sizes, longest name first.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("b", 1),
];

/// Units of times, longest name first; in milliseconds.
const TIME_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Parses a number of bytes: `5GiB`, `512 MiB`, `1000`.
pub(super) fn size(text: &str, allowed: RangeInclusive<u64>) -> Result<u64, String> {
    let bytes = with_unit(text, &SIZE_UNITS, 1)
        .ok_or_else(|| "is not a size; write it like 5GiB, 512MiB or 65536 (bytes)".to_owned())?;
    if allowed.contains(&bytes) {
        return Ok(bytes);
    }
    let (least, most) = (show_size(*allowed.start()), show_size(*allowed.end()));
    Err(format!("is out of range; use a size from {least} to {most}"))
}

/// Parses a retention in days: `7`, `0.5`.
pub(super) fn days(text: &str) -> Result<Retention, String> {
    text.trim().parse().ok().and_then(Retention::from_days).ok_or_else(|| {
        let longest = Retention::MAX.as_days();
        format!("is not a number of days between one second (0.0000116) and {longest}; write it like 7 or 0.5")
    })
}

/// Parses a time: `30s`, `500ms`, `5m`, or a number of seconds.
pub(super) fn time(text: &str, allowed: RangeInclusive<Duration>) -> Result<Duration, String> {
    let millis = with_unit(text, &TIME_UNITS, 1_000)
        .ok_or_else(|| "is not a time; write it like 30s, 500ms, 5m or 30 (seconds)".to_owned())?;
    let time = Duration::from_millis(millis);
    if allowed.contains(&time) {
        return Ok(time);
    }
    let (least, most) = (show_time(*allowed.start()), show_time(*allowed.end()));
    Err(format!("is out of range; use a time from {least} to {most}"))
}

/// Parses an integer.
pub(super) fn count(text: &str, allowed: RangeInclusive<usize>) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| format!("is not a whole number from {} to {}", allowed.start(), allowed.end()))
}

/// Parses a number of requests per second; 0 is no limit.
pub(super) fn rate(text: &str) -> Result<Option<u32>, String> {
    let most = 10_000_000;
    let rate = count(text, 0..=most)?;
    Ok(u32::try_from(rate).ok().filter(|rate| *rate > 0))
}

/// Parses `yes` or `no`.
pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.trim() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err("is not yes or no".to_owned()),
    }
}

/// Formats a boolean as written in the file.
pub(super) fn show_yes_no(value: bool) -> String {
    if value { "yes".to_owned() } else { "no".to_owned() }
}

/// Formats a size in the largest unit that divides it.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// Formats a time in the largest unit from days to milliseconds that divides it.
pub(super) fn show_time(time: Duration) -> String {
    let millis = time.as_millis();
    let unit = TIME_UNITS.into_iter().rev().find(|(_, unit)| millis.is_multiple_of(u128::from(*unit)));
    unit.filter(|_| millis > 0)
        .map_or_else(|| format!("{millis}ms"), |(name, unit)| format!("{}{name}", millis / u128::from(unit)))
}

fn with_unit(text: &str, units: &[(&str, u64)], bare: u64) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| text.strip_suffix(name).map(|number| (number, *unit)))
        .unwrap_or((&text, bare));
    number.trim_end().parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::settings;

    #[test]
    fn sizes_are_read_and_shown_as_people_write_them() {
        for (text, bytes, shown) in [
            ("5GiB", 5 << 30, "5GiB"),
            ("512 mib", 512 << 20, "512MiB"),
            ("1000", 1000, "1000"),
            ("2kB", 2000, "2000"),
            ("1024b", 1024, "1KiB"),
        ] {
            assert_eq!(size(text, 1..=1 << 40), Ok(bytes));
            assert_eq!(show_size(bytes), shown);
        }
        for bad in ["", "GiB", "-1", "1.5GiB", "5 apples", "99999999TiB", "0"] {
            assert!(size(bad, 1..=1 << 40).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_read_and_shown_as_people_write_them() {
        let day = Duration::from_hours(24);
        for (text, millis, shown) in
            [("30s", 30_000, "30s"), ("75", 75_000, "75s"), ("500ms", 500, "500ms"), ("2 m", 120_000, "2m")]
        {
            let read = Duration::from_millis(millis);
            assert_eq!(time(text, Duration::ZERO..=day), Ok(read));
            assert_eq!(show_time(read), shown);
        }
        assert!(time("2d", Duration::ZERO..=day).is_err());
        assert!(time("soon", Duration::ZERO..=day).is_err());
        assert_eq!(show_time(Duration::ZERO), "0ms");
    }

    #[test]
    fn every_reloadable_setting_exists() {
        for name in RELOADABLE {
            assert!(settings().any(|setting| setting.name == name), "{name}");
        }
        assert_eq!(settings().filter(|setting| setting.is_reloadable()).count(), RELOADABLE.len());
    }
}
