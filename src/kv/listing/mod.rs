//! Lists of an owner's stores, from an index in memory. It writes no object.

pub mod index;
pub mod owner_index;
pub mod query;
