//! Configuration. Precedence: flags > environment > file > defaults.
//!
//! Every setting has one name ([`settings()`]), from which its key in the file, its variable and its flag follow. All
//! errors are found at once ([`ConfigErrors`]), each with its fix. Modules own their options and never depend on this
//! one, which only decides which value takes effect.
//!
//! 1. [`load()`] applies file, environment and flags in that order, and collects errors and warnings. An unknown name
//!    gets the one that was probably meant.
//! 2. Contradictions between settings are checked (`validation.rs`). Checks that depend on the backend follow in
//!    `gateway`.
//! 3. On `SIGHUP` the same load runs again. `setting.rs` lists the reloadable settings. All other changed settings are
//!    only reported.
//!
//! Help, `docs/CONFIGURATION.md` and the example file are generated from the settings.

mod groups;
mod load;
mod options;
#[cfg(feature = "s3")]
mod s3_settings;
mod setting;
mod settings;
mod validation;

pub use groups::{example, grouped_settings};
pub use load::{ConfigError, ConfigErrors, ConfigSources, Loaded, load};
pub use options::{Config, LeaderSetting, PublicUrl};
pub use setting::Setting;
pub use settings::settings;
pub use validation::weakness;

#[cfg(test)]
mod docs_test;
#[cfg(test)]
mod tests;

/// Items for the fuzz targets, beyond the public interface.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    use super::{Config, Setting};

    /// Parses the value of a setting into `config`.
    pub fn apply(setting: &Setting, config: &mut Config, text: &str) -> Result<(), String> {
        (setting.apply)(config, text)
    }

    /// Returns the value of a setting in the form in which it is parsed, secrets included.
    pub fn shown(setting: &Setting, config: &Config) -> Option<String> {
        (setting.show)(config)
    }
}
