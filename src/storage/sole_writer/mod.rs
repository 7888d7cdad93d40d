//! Conditional writes over an object store that has none, for as long as one process alone makes them.
//!
//! Some object stores cannot check a condition at the moment a write takes effect, or cannot be trusted to. [`SoleWriter`]
//! checks it instead: it gives every key one turn at a time (`turns`), looks at the object, then writes. What it cannot
//! see is a writer that does not go through it. That there is only one for the keys that matter is a matter of
//! configuration; nothing here finds a second one out.
//!
//! A write whose answer was lost may take effect late, over whatever was written since. So a conditional write is
//! repeated until it is settled (`settle`), and what may still arrive bars its key for a while (`doubts`).

mod attempts;
mod doubts;
mod gate;
mod settle;
mod store;
mod turns;
mod writes;

pub use doubts::DOUBT;
pub use settle::{MAX_REPEATED_BYTES, PATIENCE};
pub use store::SoleWriter;
