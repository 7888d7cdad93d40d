//! The HTTP contract: what a client may count on, case by case.
//!
//! A test's name carries the number of the case it holds (`case_097_...`); tests without a number hold what Larder adds
//! to the platform's API or promises beyond it: conditions, ranges, what a request costs, what happens when it is cut
//! off. Each runs over every backend, through a real socket, with a gateway of its own. Nothing in here looks inside the
//! gateway: what is asserted is what a client sees, how many calls reached the object store, and what the data folder takes
//! of the disk.

#[macro_use]
mod harness;

mod aborted_uploads;
mod access;
mod access_table;
mod accounts;
mod active_content;
mod addressing;
mod backend_failures;
mod codings;
mod create_store;
mod deletion;
mod documented_examples;
mod edge_cases;
mod expiry;
mod formats;
mod get_record;
mod leader;
mod limits;
mod list_keys;
mod list_stores;
mod metrics;
mod name_privacy;
mod openapi;
mod preconditions;
mod protocol;
mod put_record;
mod quotas;
mod races;
mod ranges;
mod rate_limits;
mod request_cost;
mod response_headers;
mod run_lifecycle;
mod runs;
mod schema;
mod signed_links;
mod update_store;
mod upstream;
mod usage;
mod zip_download;
