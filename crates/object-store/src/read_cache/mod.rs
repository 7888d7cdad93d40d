//! A decorator that caches small objects in memory, for an object store without other writers.
//!
//! Each answer is one that the object store would have given at some moment of the call. A write removes the object
//! from the cache before it begins, and the result of a concurrent read is not cached.
//!
//! ```text
//! reader  GET k: v1 is on its way           writer  forgets k, PUT k v2: 200
//! reader  v1 is here: remembers it          everybody  GET k: v1, for ever
//! ```
//!
//! So a reader notes the `stripe` of the key first. It caches nothing if a write has begun since, is under way, or
//! may still arrive. Concurrent reads of an object that is not cached share one call of the object store.

mod single_flight;
mod store;
mod stripes;

pub use store::{CacheStats, ReadCache, ReadCacheOptions};
