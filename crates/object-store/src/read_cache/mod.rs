//! A decorator that caches small objects in memory, for an object store without other writers.
//!
//! Each answer is one that the object store would have given at some moment of the call. A write removes the object
//! from the cache before it begins, and the result of a concurrent read is not cached.
//!
//! ```text
//! reader  GET k: v1 is on its way           writer  removes k, PUT k v2: 200
//! reader  v1 is here: caches it             all later readers  GET k: v1, for ever
//! ```
//!
//! 1. The reader notes the `stripe` of the key. If a write of the stripe is under way, or may still arrive, the read
//!    bypasses the cache.
//! 2. If another reader is fetching the object, it joins that call. Else it sends its own.
//! 3. It caches the result only if no write of the stripe has begun since step 1.
//!
//! Entries are weighted by size, and objects of more than 64 KiB are never cached. The caller decides which keys are
//! covered. It is the outermost layer but the fence, and decides nothing about the age of data.

mod single_flight;
mod store;
mod stripes;

pub use store::{CacheStats, ReadCache, ReadCacheOptions};
