//! Calls that give and take rights, in pairs, with an interleaving at every object call: on one gateway, and on two.
//!
//! Each run holds the object calls of two requests back and lets them go one by one, before the object store has seen a
//! call and again before the caller has its response. After the response to a revocation the revoked right is gone: on
//! that gateway at once, on the other within the staleness bound, and for ever.

mod calls;
mod gate;
mod pairs;
mod scene;
