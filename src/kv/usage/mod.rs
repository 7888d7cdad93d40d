//! Usage of stores: access counters, recounts of the contents, totals of owners and of the installation.
//!
//! * **Counters.** Accesses are counted in memory. A job flushes them into store documents, about once a minute. A
//!   follower reports them to the leader instead.
//! * **Recounts.** The records and bytes of a changed store are counted by listing it, in the background. A store then
//!   rests for an interval, and for at least fifty times the duration of its count.
//! * **Totals.** They sum the counts of an owner. Each counted store has an entry whose key holds its size, so that one
//!   list sums 1,000 stores.
//!
//! It enforces no quota: `api` compares the sums with the owner's quota, so a quota may be exceeded until the next
//! count.

pub mod counters;
pub mod recount;
pub mod totals;
