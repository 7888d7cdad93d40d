//! The description of the API in the form of OpenAPI: what is served at `/v2/openapi.json`.
//!
//! What is said of each operation, of the shapes of bodies and of refusals stands in JSON files beside this one; the paths that mean a
//! store, a run or something of the upstream's in several ways are put together from one file for all of them. Tests hold it against
//! the routes, the errors and the constants of the code, and the contract tests against every answer that they see.

mod assembly;
mod document;
mod operations;

#[cfg(test)]
mod tests;

pub use document::Description;
