//! Cost ledger: calls to the object store since the start of this gateway, by party. It tracks a limited number of
//! parties; the rest are summed.
//!
//! A party is an opaque name. A party's costs are tracked as long as it is among the most recently charged. After
//! that they move to the others, and the party starts from zero when it returns.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::quality::RandomState;

use super::costs::{CallClass, Costs};
use super::metrics::{Kind, Metrics, Sample};

/// Maximum length of a party's name in bytes.
const PARTY_BYTES: usize = 17;

/// Maximum number of parties of a kind that are tracked individually.
const MAX_PARTIES: usize = 10_000;

/// A party that costs are charged to: a short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Party([u8; PARTY_BYTES]);

impl Party {
    /// Returns the party of that name; `None` if the name is empty or too long.
    pub fn named(name: &str) -> Option<Self> {
        let mut bytes = [0; PARTY_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        (!name.is_empty()).then_some(Self(bytes))
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default().trim_end_matches('\0')
    }
}

/// Attribution of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payers {
    /// True for work on a request; false for background work.
    pub is_request: bool,
    /// The store, once known.
    pub store: Option<Party>,
    /// The run, if any.
    pub run: Option<Party>,
}

/// Costs of a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// The costs.
    pub costs: Costs,
    /// True if these are all its costs: none can be among those of the others.
    pub is_complete: bool,
}

/// Costs of all parties of one kind.
#[derive(Debug, Clone, Default)]
pub struct Parties {
    /// Costs by party.
    pub apart: Vec<(Party, Account)>,
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
pub struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    totals: Totals,
    stores: Book,
    runs: Book,
}

/// Parties of one kind, in order of their last charge.
#[derive(Debug, Default)]
struct Book {
    accounts: HashMap<Party, (Account, u64), RandomState>,
    order: BTreeMap<u64, Party>,
    charges: u64,
    others: Costs,
    has_others: bool,
}

impl Book {
    fn charge(&mut self, party: Party, costs: Costs) {
        self.charges += 1;
        let is_complete = !self.has_others;
        let fresh = || (Account { costs: Costs::default(), is_complete }, 0);
        let (account, at) = self.accounts.entry(party).or_insert_with(fresh);
        account.costs += costs;
        self.order.remove(at);
        *at = self.charges;
        self.order.insert(self.charges, party);
        while self.accounts.len() > MAX_PARTIES {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            if let Some((account, _)) = self.accounts.remove(&oldest) {
                self.others += account.costs;
                self.has_others = true;
            }
        }
    }

    fn account(&self, party: Party) -> Account {
        let absent = Account { costs: Costs::default(), is_complete: !self.has_others };
        self.accounts.get(&party).map_or(absent, |(account, _)| *account)
    }

    fn parties(&self) -> Parties {
        let apart = self.accounts.iter().map(|(party, (account, _))| (*party, *account)).collect();
        Parties { apart, others: self.others }
    }
}

impl Ledger {
    /// Shows the number of calls in `metrics`.
    pub fn show(self: &std::sync::Arc<Self>, metrics: &Metrics) {
        let ledger = std::sync::Arc::clone(self);
        let help = "Total number of requests to the object store as it bills them, each attempt and each part counted, by \
                    class: a (writes, copies and lists), b (reads), free (deletes).";
        metrics.watch("larder_object_store_billed_requests_total", help, Kind::Counter, move || {
            let all = ledger.totals().all;
            CallClass::NAMES.map(|(class, name)| Sample::labelled([("class", name)], all.calls(class))).into()
        });
    }

    /// Charges `costs` to `payers`.
    pub fn charge(&self, payers: Payers, costs: Costs) {
        if costs.is_nothing() {
            return;
        }
        let mut books = self.books();
        books.totals.all += costs;
        if !payers.is_request {
            books.totals.background += costs;
        } else if payers.store.is_none() {
            books.totals.without_store += costs;
        }
        if let Some(store) = payers.store {
            books.stores.charge(store, costs);
        }
        if let Some(run) = payers.run {
            books.runs.charge(run, costs);
        }
    }

    /// Returns the total costs.
    pub fn totals(&self) -> Totals {
        self.books().totals
    }

    /// Returns the costs of a store.
    pub fn store(&self, store: Party) -> Account {
        self.books().stores.account(store)
    }

    /// Returns the costs of a run.
    pub fn run(&self, run: Party) -> Account {
        self.books().runs.account(run)
    }

    /// Returns the total costs, and those of stores and runs, at one moment.
    pub fn all(&self) -> (Totals, Parties, Parties) {
        let books = self.books();
        (books.totals, books.stores.parties(), books.runs.parties())
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payers(store: &str) -> Payers {
        Payers { is_request: true, store: Party::named(store), run: None }
    }

    #[test]
    fn a_party_is_called_by_its_name() {
        assert_eq!(Party::named("HG7ML7M8z78YcAPEB").expect("a name").name(), "HG7ML7M8z78YcAPEB");
        assert_eq!(Party::named("short").expect("a name").name(), "short");
        assert_eq!(Party::named("HG7ML7M8z78YcAPEBx"), None);
        assert_eq!(Party::named(""), None);
    }

    #[test]
    fn each_owner_is_charged_separately_and_totals_are_summed() {
        let ledger = Ledger::default();
        let run = Party::named("run");
        ledger.charge(Payers { run, ..payers("a") }, Costs { class_b: 2, bytes_out: 9, ..Costs::default() });
        ledger.charge(payers("b"), Costs::call(CallClass::A));
        ledger.charge(Payers { is_request: true, ..Payers::default() }, Costs::call(CallClass::B));
        ledger.charge(Payers::default(), Costs::call(CallClass::Free));
        let of = |name| ledger.store(Party::named(name).expect("a name"));
        assert_eq!(
            of("a"),
            Account { costs: Costs { class_b: 2, bytes_out: 9, ..Costs::default() }, is_complete: true }
        );
        assert_eq!(of("b").costs, Costs::call(CallClass::A));
        assert_eq!(ledger.run(run.expect("a name")).costs.class_b, 2);
        let Totals { all, without_store, background } = ledger.totals();
        assert_eq!(all, Costs { class_a: 1, class_b: 3, free: 1, bytes_in: 0, bytes_out: 9 });
        assert_eq!(without_store, Costs::call(CallClass::B));
        assert_eq!(background, Costs::call(CallClass::Free));
    }

    #[test]
    fn those_that_were_charged_longest_ago_are_summed() {
        let ledger = Ledger::default();
        for store in 0..MAX_PARTIES {
            ledger.charge(payers(&store.to_string()), Costs::call(CallClass::A));
        }
        ledger.charge(payers("0"), Costs::call(CallClass::A));
        ledger.charge(payers("one more"), Costs::call(CallClass::B));
        let (_, Parties { apart, others }, _) = ledger.all();
        assert_eq!(apart.len(), MAX_PARTIES);
        assert_eq!(others, Costs::call(CallClass::A));
        let of = |name| ledger.store(Party::named(name).expect("a name"));
        assert_eq!((of("0").costs.class_a, of("0").is_complete), (2, true));
        assert_eq!(of("1"), Account::default(), "it is one of the others");
        ledger.charge(payers("1"), Costs::call(CallClass::A));
        assert_eq!(of("1"), Account { costs: Costs::call(CallClass::A), is_complete: false });
        let mut sum = Costs::default();
        let (totals, Parties { apart, others }, _) = ledger.all();
        for (_, account) in apart {
            sum += account.costs;
        }
        sum += others;
        assert_eq!(sum, totals.all);
    }
}
