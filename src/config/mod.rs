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
#[cfg(any(test, fuzzing))]
pub mod properties;
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
