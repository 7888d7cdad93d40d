//! The life cycle of a store: state machine, due queue and reconciler; expiry, relocation, deletion; and what the
//! object store deletes by itself.
//!
//! It neither serves requests about records nor lists stores. Each file has its protocol in steps, with the commit
//! point and the effect of a conflict and of a crash:
//!
//! | file | protocol |
//! |---|---|
//! | `state_machine.rs` | phases of a store, expiry, and the steps of a relocation; no I/O |
//! | `due_queue.rs` | durable queue with write-ahead intent: the only list of pending work |
//! | `reconciler.rs` | visits to due stores, in batches; expired stores are deleted at the second visit |
//! | `relocation.rs` | pre-copy, freeze, final sync, cutover |
//! | `deletion.rs` | tombstone, purge, final purge; abort of multipart uploads without progress for a day |
//! | `expiry_extension.rs` | a later expiry, written before a change is acknowledged |
//! | `bucket_rules.rs` | lifecycle rules of the object store, whose effects canary objects reveal |
//!
//! A store ends as follows.
//!
//! 1. Its expiry passes, or a request deletes it. Lists and reads omit an expired store at once.
//! 2. For an expired store, a first visit schedules a second one, after 65 minutes of uptime.
//! 3. A tombstone replaces the document's phase: the commit point.
//! 4. The reconciler purges the records. An hour of uptime later, when no request can still be writing, it purges
//!    again, and deletes claims, index entries and the document.
//!
//! Lifecycle rules delete everything below their prefixes by age, whatever store it belongs to. So the records of live
//! stores leave a prefix, or are copied into a new generation, before its rule is due. A backend without rules keeps
//! all records outside these prefixes. After a migration to a bucket the rules may therefore be written at once. Stores
//! that came from a bucket to a data folder leave the prefixes at their next visit.
//!
//! A wall clock in doubt stops every irreversible step that depends on time. Such decisions use
//! `ClockGuard::deletion_time`, which is `None` while the wall clock is in doubt. Waits use `ClockGuard::uptime`, which
//! no change of the wall clock moves.
//!
//! `tests/domain/simulation` runs this code under simulated time with random interleavings, stalls, lost responses and
//! crashes. Each safety measure has a toggle (`SafetyToggles`); without the measure the simulation finds the loss.
//! Reasons: `docs/decisions/0007`.

pub mod bucket_rules;
pub mod deletion;
pub mod due_queue;
pub mod expiry_extension;
pub mod reconciler;
pub mod relocation;
pub mod state_machine;
