//! The HTTP contract: what a client may count on, case by case.
//!
//! A test's name carries the number of the case it holds (`case_097_...`); tests without a number hold what Larder adds
//! to the platform's API or promises beyond it: conditions, ranges, what a request costs, what happens when it is cut
//! off. Each runs over every backend, through a real socket, with a gateway of its own. Nothing in here looks inside the
//! gateway: what is asserted is what a client sees, how many calls reached the object store, and what the data folder takes
//! of the disk.

#[cfg(feature = "s3")]
#[path = "../object_store/mod.rs"]
mod object_store;
#[macro_use]
mod harness;

mod access;
mod access_table;
mod accounts;
mod active_content;
mod addressing;
mod calls;
mod clock;
mod codings;
mod conditions;
mod contents;
mod create_store;
mod cut_off;
mod delete_record;
mod delete_store;
mod description;
mod disk_space;
mod documented_examples;
mod durations;
mod expiry;
mod faults;
mod formats;
mod get_record;
mod key_pages;
mod leader;
mod list_keys;
mod list_stores;
mod metrics;
mod names_of_others;
mod oddities;
mod protocol;
mod put_record;
mod quotas;
mod races;
mod ranges;
mod rate_limits;
mod record_sizes;
mod replies;
mod run_clocks;
mod run_life;
mod run_lists;
mod run_retention;
mod run_waits;
mod runs;
mod schema;
mod search;
mod signed_links;
mod update_store;
mod upstream;
mod usage;
mod zip_download;
