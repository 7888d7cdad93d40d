//! Configuration. Precedence: flags > environment > file > defaults.
//!
//! Every setting has one name ([`settings()`]), from which its key in the file, its variable and its flag follow. All
//! problems are found at once ([`Problems`]), each with its fix. Modules own their options and never depend on this
//! one, which only decides which value takes effect.

mod change;
mod consistency;
mod edge_settings;
mod fingerprint;
mod kubernetes;
mod load;
mod problem;
mod quota_settings;
mod reference;
#[cfg(feature = "s3")]
mod s3_settings;
mod secret_settings;
mod setting;
mod settings;
mod suggestion;
mod tree;
mod upstream_settings;
mod value;
mod watching_settings;
mod weak_secret;

pub use load::{Given, Loaded, load};
pub use problem::{Problem, Problems};
pub use reference::{example, grouped_settings};
pub use setting::Setting;
pub use settings::settings;
pub use tree::{Config, LeaderSetting, PublicUrl};
pub use weak_secret::weakness;

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;

/// What the fuzz targets call beyond the public interface.
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
