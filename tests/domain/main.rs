//! The domain over the reference object store: several gateways at once, time moved by hand, crashes and lost answers.

mod accounts;
mod deletion;
mod due_queue;
mod gateways;
mod growth;
mod leader;
mod lifecycle_rules;
mod listing;
mod naming;
mod run_host;
mod runs;
mod simulation;
mod test_stores;
mod usage;
