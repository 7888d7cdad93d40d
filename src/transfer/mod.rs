//! Stores on their way into Larder and out of it: from and to folders, ZIP files and other servers of the same API.
//!
//! Everything goes through the public API, so that what is done here anybody can do. Records stream, a few at a time; what
//! was done is written down in the order of the keys, so that whatever is cut off goes on from there.

mod agent;
mod api;
mod archive;
mod bars;
mod crawlee;
mod directory;
mod error;
mod export;
mod folder;
mod import;
mod path;
mod pipeline;
mod progress;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod record;
mod remote;
mod source;
mod zipped;

pub use agent::{Trust, agent};
pub use api::Api;
pub use bars::Bars;
pub use error::{Error, Result};
pub use export::{Carried, Exported, export};
pub use import::{ImportOptions, Imported, import};
pub use path::open;
pub use record::LeftOut;
pub use remote::Remote;
pub use source::Source;
