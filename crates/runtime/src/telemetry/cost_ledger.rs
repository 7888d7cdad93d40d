//! Cost attribution: calls to the object store since the start of this gateway, by store and by run.
//!
//! An owner is an opaque name. The ledger tracks the most recently charged owners, up to [`MAX_OWNERS`]. The costs of an
//! evicted owner move to the sum of the others, and the owner starts from zero when it returns.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldhash::quality::RandomState;

use super::costs::{CallClass, Costs};
use super::metrics::{MetricKind, Metrics, Sample};

/// Maximum length of an owner's name in bytes.
const OWNER_BYTES: usize = 17;

/// Maximum number of owners of a kind that are tracked individually.
const MAX_OWNERS: usize = 10_000;

/// A store or run that costs are charged to, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CostOwner([u8; OWNER_BYTES]);

impl CostOwner {
    /// Returns the owner of that name; `None` if the name is empty or too long.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut bytes = [0; OWNER_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        (!name.is_empty()).then_some(Self(bytes))
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default().trim_end_matches('\0')
    }
}

/// Owners that the costs of an activity are charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attribution {
    /// True for a request; false for background work.
    pub is_request: bool,
    /// The store, once known.
    pub store: Option<CostOwner>,
    /// The run, if any.
    pub run: Option<CostOwner>,
}

/// Costs of one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnerCost {
    /// The costs.
    pub costs: Costs,
    /// True if no costs of this owner are in the sum of the others.
    pub is_complete: bool,
}

/// Costs of all owners of one kind.
#[derive(Debug, Clone, Default)]
pub struct OwnerCosts {
    /// Costs of the tracked owners.
    pub tracked: Vec<(CostOwner, OwnerCost)>,
    /// Costs of all others together.
    pub others: Costs,
}

/// Total costs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// All costs.
    pub all: Costs,
    /// Costs of requests without a store.
    pub without_store: Costs,
    /// Costs of background work.
    pub background: Costs,
}

/// The cost ledger.
#[derive(Debug, Default)]
pub struct CostLedger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    totals: Totals,
    stores: LruTotals,
    runs: LruTotals,
}

/// Costs of the most recently charged owners of one kind, and the sum of the others.
#[derive(Debug, Default)]
struct LruTotals {
    costs: HashMap<CostOwner, (OwnerCost, u64), RandomState>,
    order: BTreeMap<u64, CostOwner>,
    charges: u64,
    others: Costs,
    has_others: bool,
}

impl LruTotals {
    fn charge(&mut self, owner: CostOwner, costs: Costs) {
        self.charges += 1;
        let is_complete = !self.has_others;
        let fresh = || (OwnerCost { costs: Costs::default(), is_complete }, 0);
        let (cost, at) = self.costs.entry(owner).or_insert_with(fresh);
        cost.costs += costs;
        self.order.remove(at);
        *at = self.charges;
        self.order.insert(self.charges, owner);
        while self.costs.len() > MAX_OWNERS {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            if let Some((cost, _)) = self.costs.remove(&oldest) {
                self.others += cost.costs;
                self.has_others = true;
            }
        }
    }

    fn cost(&self, owner: CostOwner) -> OwnerCost {
        let absent = OwnerCost { costs: Costs::default(), is_complete: !self.has_others };
        self.costs.get(&owner).map_or(absent, |(cost, _)| *cost)
    }

    fn snapshot(&self) -> OwnerCosts {
        let tracked = self.costs.iter().map(|(owner, (cost, _))| (*owner, *cost)).collect();
        OwnerCosts { tracked, others: self.others }
    }
}

impl CostLedger {
    /// Registers the number of billed calls.
    pub fn register_metrics(self: &Arc<Self>, metrics: &Metrics) {
        let ledger = Arc::clone(self);
        let help = "Total number of requests to the object store as it bills them, each attempt and each part counted, by \
                    class: a (writes, copies and lists), b (reads), free (deletes).";
        metrics.register("larder_object_store_billed_requests_total", help, MetricKind::Counter, move || {
            let all = ledger.totals().all;
            CallClass::NAMES.map(|(class, name)| Sample::with_labels([("class", name)], all.calls(class))).into()
        });
    }

    /// Charges `costs` to the owners in `attribution`.
    pub fn charge(&self, attribution: Attribution, costs: Costs) {
        if costs.is_zero() {
            return;
        }
        let mut state = self.state();
        state.totals.all += costs;
        if !attribution.is_request {
            state.totals.background += costs;
        } else if attribution.store.is_none() {
            state.totals.without_store += costs;
        }
        if let Some(store) = attribution.store {
            state.stores.charge(store, costs);
        }
        if let Some(run) = attribution.run {
            state.runs.charge(run, costs);
        }
    }

    /// Returns the total costs.
    pub fn totals(&self) -> Totals {
        self.state().totals
    }

    /// Returns the costs of a store.
    pub fn store(&self, store: CostOwner) -> OwnerCost {
        self.state().stores.cost(store)
    }

    /// Returns the costs of a run.
    pub fn run(&self, run: CostOwner) -> OwnerCost {
        self.state().runs.cost(run)
    }

    /// Returns the total costs, and those of stores and runs, at one moment.
    pub fn snapshot(&self) -> (Totals, OwnerCosts, OwnerCosts) {
        let state = self.state();
        (state.totals, state.stores.snapshot(), state.runs.snapshot())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribution(store: &str) -> Attribution {
        Attribution { is_request: true, store: CostOwner::from_name(store), run: None }
    }

    #[test]
    fn an_owner_has_the_name_that_it_was_made_from() {
        assert_eq!(CostOwner::from_name("HG7ML7M8z78YcAPEB").expect("a name").name(), "HG7ML7M8z78YcAPEB");
        assert_eq!(CostOwner::from_name("short").expect("a name").name(), "short");
        assert_eq!(CostOwner::from_name("HG7ML7M8z78YcAPEBx"), None);
        assert_eq!(CostOwner::from_name(""), None);
    }

    #[test]
    fn costs_are_charged_to_their_owner_and_summed() {
        let ledger = CostLedger::default();
        let run = CostOwner::from_name("run");
        ledger.charge(Attribution { run, ..attribution("a") }, Costs { class_b: 2, bytes_out: 9, ..Costs::default() });
        ledger.charge(attribution("b"), Costs::for_call(CallClass::A));
        ledger.charge(Attribution { is_request: true, ..Attribution::default() }, Costs::for_call(CallClass::B));
        ledger.charge(Attribution::default(), Costs::for_call(CallClass::Free));
        let of = |name| ledger.store(CostOwner::from_name(name).expect("a name"));
        assert_eq!(
            of("a"),
            OwnerCost { costs: Costs { class_b: 2, bytes_out: 9, ..Costs::default() }, is_complete: true }
        );
        assert_eq!(of("b").costs, Costs::for_call(CallClass::A));
        assert_eq!(ledger.run(run.expect("a name")).costs.class_b, 2);
        let Totals { all, without_store, background } = ledger.totals();
        assert_eq!(all, Costs { class_a: 1, class_b: 3, free: 1, bytes_in: 0, bytes_out: 9 });
        assert_eq!(without_store, Costs::for_call(CallClass::B));
        assert_eq!(background, Costs::for_call(CallClass::Free));
    }

    #[test]
    fn the_least_recently_charged_owners_are_summed() {
        let ledger = CostLedger::default();
        for store in 0..MAX_OWNERS {
            ledger.charge(attribution(&store.to_string()), Costs::for_call(CallClass::A));
        }
        ledger.charge(attribution("0"), Costs::for_call(CallClass::A));
        ledger.charge(attribution("one more"), Costs::for_call(CallClass::B));
        let (_, OwnerCosts { tracked, others }, _) = ledger.snapshot();
        assert_eq!(tracked.len(), MAX_OWNERS);
        assert_eq!(others, Costs::for_call(CallClass::A));
        let of = |name| ledger.store(CostOwner::from_name(name).expect("a name"));
        assert_eq!((of("0").costs.class_a, of("0").is_complete), (2, true));
        assert_eq!(of("1"), OwnerCost::default(), "it is one of the others");
        ledger.charge(attribution("1"), Costs::for_call(CallClass::A));
        assert_eq!(of("1"), OwnerCost { costs: Costs::for_call(CallClass::A), is_complete: false });
        let mut sum = Costs::default();
        let (totals, OwnerCosts { tracked, others }, _) = ledger.snapshot();
        for (_, cost) in tracked {
            sum += cost.costs;
        }
        sum += others;
        assert_eq!(sum, totals.all);
    }
}
