//! Unique names: find a store by its name, create one with a name, rename one. There is at most one store for each
//! name, by compare-and-swap alone.
//!
//! The claim objects and the protocol are in `persist/name_claims.rs`: pending name, claim, name. The loser of a claim
//! tombstones its own store document. Any gateway that finds a half-completed claim completes it. A rename that was not
//! acknowledged is undone instead: by a gateway that creates a store of that name, or within minutes by the reconciler.
//! The document notes each name that the store has left. The reconciler releases the claim of that name an hour later.
//!
//! A caller other than the owner finds a name with the same reads whether or not the store exists. This folder does not
//! decide who may do so.

pub mod naming;
