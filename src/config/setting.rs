//! A setting: one name, from which its key, its variable and its flag follow.

use super::tree::Config;

/// Prefix of Larder's environment variables.
pub(super) const ENV_PREFIX: &str = "LARDER_";

/// Placeholder for a secret.
pub(super) const REDACTED: &str = "[redacted]";

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
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting").field("name", &self.name).finish_non_exhaustive()
    }
}
