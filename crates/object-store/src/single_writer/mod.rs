//! Conditional writes over an object store without them, for a single writer.
//!
//! Some object stores cannot check a condition at the moment a write takes effect, or do so unreliably.
//! [`SingleWriterStore`] checks it instead. It cannot see writers that do not go through it. Configuration must ensure
//! a single writer for these keys; nothing here detects a second one.
//!
//! 1. Lock the key (`key_locks`). A stream takes the lock only before its last byte: an object store creates no object
//!    before the end of its body has come.
//! 2. Reject the write if the key is blocked.
//! 3. Read the object, and check the condition.
//! 4. Write: the commit point.
//! 5. If the response was lost, read the object, and send a conditional write again until its outcome is known
//!    (`ambiguous_write`).
//! 6. A write that may still arrive after that blocks its key for a minute ([`IN_DOUBT_WINDOW`]).
//!
//! Writes without a condition take the lock, too. A lost one blocks only conditional writes. A restart loses all
//! blocks, so a new leader should start a minute after the old one. Reasons: `docs/decisions/0006`.

mod ambiguous_write;
mod key_locks;
mod store;

pub use ambiguous_write::{IN_DOUBT_WINDOW, MAX_RETRY_BYTES, RESOLUTION_TIMEOUT};
pub use store::SingleWriterStore;
