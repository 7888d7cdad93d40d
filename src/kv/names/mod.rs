//! Unique names: find a store by its name, create one with a name, rename one.

pub mod naming;
