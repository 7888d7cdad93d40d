//! Web console: its pages, embedded in the program as files.
//!
//! The pages get their content from the public API, with the viewer's token. This module only maps a path to a file and
//! sets the headers that limit what browsers may do with it.

mod assets;
mod service;

pub use service::Console;
