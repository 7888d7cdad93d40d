//! The console: the pages that people see in a browser, as files that are part of the program.
//!
//! What is on them they ask of the public API, with the token of whoever looks at them; this room knows of neither. Here it is only said
//! which file a path means, and what browsers may do with it.

mod assets;
mod service;

pub use service::Console;
