//! Costs of object store calls, charged to the work that makes them.

use std::sync::Arc;

use super::{
    costs::{CallClass, Costs},
    ledger::{Ledger, Payers},
    observed::Observed,
    work,
};

/// Charges the current work; without one, background work.
pub fn charge(ledger: &Ledger, costs: Costs) {
    if CallClass::NAMES.iter().any(|(class, _)| costs.calls(*class) > 0) {
        work::observe(Observed::count_call);
    }
    if let Err(costs) = work::add(costs) {
        ledger.charge(Payers::default(), costs);
    }
}

/// Costs of one call, summed until it is over, and then charged: to the current work, else to that in which the call
/// began.
#[derive(Debug)]
pub struct Tab {
    ledger: Arc<Ledger>,
    payers: Payers,
    costs: Costs,
}

impl Tab {
    /// Starts a call.
    pub fn open(ledger: &Arc<Ledger>, class: CallClass) -> Self {
        work::observe(Observed::count_call);
        Self { ledger: Arc::clone(ledger), payers: work::payers(), costs: Costs::call(class) }
    }

    /// Adds sent bytes.
    pub fn sent(&mut self, bytes: usize) {
        self.costs.bytes_in += bytes as u64;
    }

    /// Adds received bytes.
    pub fn received(&mut self, bytes: usize) {
        self.costs.bytes_out += bytes as u64;
    }

    /// Cancels the call: nothing was sent.
    pub fn waive(mut self) {
        work::observe(Observed::discount_call);
        self.costs = Costs::default();
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if let Err(costs) = work::add(self.costs) {
            self.ledger.charge(self.payers, costs);
        }
    }
}
