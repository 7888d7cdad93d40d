//! OpenAPI description of the API, served at `/v2/openapi.json`.
//!
//! JSON files beside this one describe each operation, the schemas of bodies, and errors. Paths that address a store, a
//! run or an upstream resource in several ways are generated from one file for all of them. Tests compare the
//! description with the routes, the errors and the constants of the code; the contract tests compare it with every
//! response that they see.

mod document;

#[cfg(test)]
mod tests;

pub use document::Description;
