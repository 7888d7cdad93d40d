//! Contract of every object store, each promise a function over any of them.

pub mod aborts;
pub mod copies;
pub mod deletes;
pub mod lists;
pub mod puts;
pub mod races;
pub mod reads;
