//! A setting: one name, from which its key, its variable and its flag follow.

use super::tree::Config;

/// Environment variables of Larder begin with this.
pub(super) const ENV_PREFIX: &str = "LARDER_";

/// What is shown in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// A setting.
pub struct Setting {
    /// Its name, which is also its key in the file.
    pub name: &'static str,
    /// What kind of value it takes, for the help of its flag.
    pub value: &'static str,
    /// What it does, as a sentence without its stop.
    pub help: &'static str,
    /// A secret has no flag (other users of the machine see flags) and its value is never shown.
    pub is_secret: bool,
    pub(super) apply: fn(&mut Config, &str) -> Result<(), String>,
    pub(super) show: fn(&Config) -> Option<String>,
}

impl Setting {
    /// The name of its environment variable: `LARDER_MAX_RECORD_SIZE`.
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// The name of its flag, without the dashes: `max-record-size`; `None` for a secret.
    pub fn flag(&self) -> Option<String> {
        (!self.is_secret).then(|| self.name.replace('_', "-"))
    }

    /// Its value in `config` as it would be written in the file, or `None` when it is not set. Secrets are redacted.
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
