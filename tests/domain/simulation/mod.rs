//! The domain's own code in a simulated world: two gateways over one object store, under latencies, stalls, lost
//! responses, late effects, crashes; a store that is written, read, named, un-named, kept longer and shorter;
//! everything in an order that a seed decides, in time that passes only when no task can proceed.
//!
//! Each run ends with a judgement of its history: whether a read was stale, whether an acknowledged change is lost, whether
//! the store was gone while it was to live. Each safeguard is also taken out: then losses are to be found.
#![expect(clippy::disallowed_methods, reason = "what belongs to a simulated world ends with its runtime")]
#![expect(clippy::print_stdout, reason = "a seed is printed, so that its run can be repeated")]

mod clients;
mod clock_runs;
mod clock_world;
mod clocks;
mod flaky_store;
mod history;
mod runs;
mod time;
mod world;
