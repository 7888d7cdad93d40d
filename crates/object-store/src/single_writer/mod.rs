//! Conditional writes over an object store without them, for a single writer.
//!
//! Some object stores cannot check a condition at the moment a write takes effect, or do so unreliably. [`SingleWriterStore`]
//! checks it instead: it locks the key (`key_locks`), reads the object, then writes. It cannot see writers that do not go
//! through it. Configuration must ensure a single writer for these keys; nothing here detects a second one.
//!
//! A write whose response was lost may take effect late, over later writes. So a conditional write is retried until its
//! outcome is known (`ambiguous_write`), and a key in doubt is blocked for a while (`in_doubt`).

mod ambiguous_write;
mod commit_barrier;
mod in_doubt;
mod key_locks;
mod store;

pub use ambiguous_write::{MAX_RETRY_BYTES, RESOLUTION_TIMEOUT};
pub use in_doubt::IN_DOUBT_WINDOW;
pub use store::SingleWriterStore;
