//! Faults of gateways while a history is made.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use crate::{crash_recovery::Choices, program::pause};

use super::clients::Cluster;

/// Something that can go wrong between a gateway and its object store; nothing for a folder.
pub trait Network: Sync {
    /// Makes something go wrong, by chance.
    fn disturb(&self, choices: &mut Choices);

    /// Nothing goes wrong any more.
    fn calm(&self);
}

/// A folder has no network.
pub struct NoNetwork;

impl Network for NoNetwork {
    fn disturb(&self, _: &mut Choices) {}

    fn calm(&self) {}
}

/// Kills, stops and disturbs until it is over. Returns the number of disturbances.
pub fn rage(site: &Cluster, network: &dyn Network, mut choices: Choices, is_over: &AtomicBool) -> usize {
    let mut times = 0;
    while !is_over.load(Relaxed) {
        pause(Duration::from_millis(20 + choices.below(400)));
        let gateway = usize::try_from(choices.below(site.len() as u64)).expect("a small number");
        match choices.below(12) {
            0 => site.kill(gateway, Duration::from_millis(choices.below(500))),
            // Mostly for a moment, now and then for longer than the staleness bound.
            1 => site.freeze(gateway, Duration::from_millis(100 + choices.below(400))),
            2 if choices.below(4) == 0 => site.freeze(gateway, Duration::from_millis(5000 + choices.below(3000))),
            _ => network.disturb(&mut choices),
        }
        times += 1;
    }
    times
}
