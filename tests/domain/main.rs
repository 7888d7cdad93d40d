//! The domain over the reference object store: several gateways at once, time moved by hand, crashes and lost answers.

mod activity;
mod counted;
mod due;
mod gateways;
mod keeper;
mod listing;
mod naming;
mod order;
mod removal;
mod simulation;
