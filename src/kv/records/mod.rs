//! Records: reads, writes, deletions and lists of keys.

pub mod key_range;
pub mod service;
