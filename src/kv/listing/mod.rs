//! Lists of an owner's stores, from an index in memory. It writes no object, and repairs nothing.
//!
//! 1. An entry is one object without a body: its key holds place, name and expiry of a store, so that one call reads a
//!    thousand. `persist` writes one for each change that affects lists.
//! 2. Each gateway keeps the entries in memory, in order of creation and with the search text. It reads only new
//!    entries, and at most as late as the staleness bound.
//! 3. A page or a search reads the documents of the stores that it shows. The documents are authoritative. Expired
//!    stores are omitted by the expiry in their entries.
//!
//! The index drops deleted stores after an hour, expired ones too while the clock is trusted, and owners without stores
//! after half an hour. Entries of deleted stores stay for an hour. So a gateway that has not read the index for half an
//! hour, or whose clock has jumped since, reads all of it again. Searches run on threads of their own.

pub mod index;
pub mod owner_index;
