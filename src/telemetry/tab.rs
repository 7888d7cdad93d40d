//! What calls of an object store cost, charged to whoever has them made.

use std::sync::Arc;

use super::{
    costs::{CallClass, Costs},
    ledger::{Ledger, Payers},
    observed::Observed,
    work,
};

/// Charges the work under way; where there is none, it is work in the background.
pub fn charge(ledger: &Ledger, costs: Costs) {
    if CallClass::NAMES.iter().any(|(class, _)| costs.calls(*class) > 0) {
        work::observe(Observed::count_call);
    }
    if let Err(costs) = work::add(costs) {
        ledger.charge(Payers::default(), costs);
    }
}

/// What one call costs, added up until it is over, and then charged: to the work under way, else to that in which it began.
#[derive(Debug)]
pub struct Tab {
    ledger: Arc<Ledger>,
    payers: Payers,
    costs: Costs,
}

impl Tab {
    /// A call begins.
    pub fn open(ledger: &Arc<Ledger>, class: CallClass) -> Self {
        work::observe(Observed::count_call);
        Self { ledger: Arc::clone(ledger), payers: work::payers(), costs: Costs::call(class) }
    }

    /// So many bytes were sent with it.
    pub fn sent(&mut self, bytes: usize) {
        self.costs.bytes_in += bytes as u64;
    }

    /// So many bytes came back.
    pub fn received(&mut self, bytes: usize) {
        self.costs.bytes_out += bytes as u64;
    }

    /// It was no call after all: nothing of it left.
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
