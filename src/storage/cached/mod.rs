//! A decorator that keeps small objects in memory, for where nobody writes but by it.
//!
//! What it answers is what the object store would have answered at some moment of the call: a write takes the object out of memory before
//! it begins, and what was read meanwhile is not remembered.
//!
//! ```text
//! reader  GET k: v1 is on its way           writer  forgets k, PUT k v2: 200
//! reader  v1 is here: remembers it          everybody  GET k: v1, for ever
//! ```
//!
//! So whoever reads notes the [`stripe`] of the key first, and remembers nothing if a write came by since, is under way, or may
//! still arrive. Concurrent reads of an object that is not in memory are one call of the object store.

mod flight;
mod store;
mod stripe;
mod uses;
mod whole;

pub use store::{CachedOptions, CachedStore};
pub use uses::CacheUses;
