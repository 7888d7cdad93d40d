//! Costs at an object store: calls, by the classes that vendors bill, and bytes, with their price by a price list. The
//! costs of a call are charged to the request that makes it, and attributed to its store and run.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::AddAssign,
    str::FromStr,
    sync::Arc,
};

use foldhash::quality::RandomState;
use parking_lot::Mutex;

use super::{
    metrics::{MetricKind, Metrics, Sample},
    request_context::{self, RequestFacts},
};

/// Number of calls that a price of class A or B is for.
const CALLS_PER_PRICE: f64 = 1000.0;

/// Number of bytes that a price of bytes is for.
const BYTES_PER_PRICE: f64 = 1024.0 * 1024.0 * 1024.0;

/// Maximum length of a currency name.
const MAX_CURRENCY_LENGTH: usize = 8;

/// Billing classes of calls.
/// (<https://aws.amazon.com/s3/pricing/>, <https://developers.cloudflare.com/r2/pricing/>)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallClass {
    /// Writes, copies and lists.
    A,
    /// Reads of one object, or of its metadata.
    B,
    /// Deletes, of one object or many, and aborted uploads.
    Free,
}

impl CallClass {
    /// All classes, with their names in metrics.
    pub const NAMES: [(Self, &'static str); 3] = [(Self::A, "a"), (Self::B, "b"), (Self::Free, "free")];

    /// Returns the class of a request to an S3-compatible object store, by its method and query.
    pub fn for_request(method: &str, query: &str) -> Self {
        let has_parameter = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        match method {
            "DELETE" => Self::Free,
            "POST" if has_parameter("delete") => Self::Free,
            "GET" if has_parameter("list-type") => Self::A,
            "GET" | "HEAD" => Self::B,
            _ => Self::A,
        }
    }
}

/// Calls and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Costs {
    /// Calls of class A.
    pub class_a: u64,
    /// Calls of class B.
    pub class_b: u64,
    /// Calls that are not billed.
    pub free: u64,
    /// Bytes of bodies sent to the object store.
    pub bytes_in: u64,
    /// Bytes of bodies received from it.
    pub bytes_out: u64,
}

impl Costs {
    /// Returns the cost of one call.
    pub fn for_call(class: CallClass) -> Self {
        let mut costs = Self::default();
        match class {
            CallClass::A => costs.class_a = 1,
            CallClass::B => costs.class_b = 1,
            CallClass::Free => costs.free = 1,
        }
        costs
    }

    /// Returns the calls of a class.
    pub fn calls(&self, class: CallClass) -> u64 {
        match class {
            CallClass::A => self.class_a,
            CallClass::B => self.class_b,
            CallClass::Free => self.free,
        }
    }

    /// Returns whether there are no costs.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Costs {
    fn add_assign(&mut self, other: Self) {
        self.class_a += other.class_a;
        self.class_b += other.class_b;
        self.free += other.free;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
    }
}

/// A price list: `a=0.005,b=0.0004,in=0,out=0.09,currency=USD`. Omitted items are free.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prices {
    /// Price of a thousand calls of class A.
    pub class_a: f64,
    /// Price of a thousand calls of class B.
    pub class_b: f64,
    /// Price per GiB sent to the object store.
    pub bytes_in: f64,
    /// Price per GiB received from it.
    pub bytes_out: f64,
    /// The currency, displayed with prices.
    pub currency: String,
}

/// The text is not a price list; contains the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPrices(String);

impl Prices {
    /// Returns the price of `costs`.
    pub fn price(&self, costs: &Costs) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "call counts beyond exact floats do not occur")]
        let times = |count: u64, price: f64, unit: f64| count as f64 / unit * price;
        times(costs.class_a, self.class_a, CALLS_PER_PRICE)
            + times(costs.class_b, self.class_b, CALLS_PER_PRICE)
            + times(costs.bytes_in, self.bytes_in, BYTES_PER_PRICE)
            + times(costs.bytes_out, self.bytes_out, BYTES_PER_PRICE)
    }
}

impl FromStr for Prices {
    type Err = InvalidPrices;

    fn from_str(text: &str) -> Result<Self, InvalidPrices> {
        let mut prices = Self { currency: "USD".to_owned(), ..Self::default() };
        let mut named = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, value) = part
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()))
                .ok_or_else(|| InvalidPrices(format!("{part:?} is not a name, an equals sign and a price")))?;
            if named.contains(&name) {
                return Err(InvalidPrices(format!("{name} is given twice")));
            }
            named.push(name);
            let price = match name {
                "a" => &mut prices.class_a,
                "b" => &mut prices.class_b,
                "in" => &mut prices.bytes_in,
                "out" => &mut prices.bytes_out,
                "currency" => {
                    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphabetic());
                    if value.is_empty() || value.len() > MAX_CURRENCY_LENGTH || !is_word(value) {
                        return Err(InvalidPrices(format!("{value:?} is not a currency, such as USD")));
                    }
                    value.clone_into(&mut prices.currency);
                    continue;
                }
                _ => {
                    return Err(InvalidPrices(format!("{name:?} is none of a, b, in, out and currency")));
                }
            };
            let read = value.parse().ok().filter(|read: &f64| read.is_finite() && *read >= 0.0);
            *price =
                read.ok_or_else(|| InvalidPrices(format!("{name} is {value:?}, which is no price, such as 0.005")))?;
        }
        Ok(prices)
    }
}

impl fmt::Display for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class_a, class_b, bytes_in, bytes_out, currency } = self;
        write!(f, "a={class_a},b={class_b},in={bytes_in},out={bytes_out},currency={currency}")
    }
}

/// Charges the current request; outside of one, background work.
pub fn charge(ledger: &CostLedger, costs: Costs) {
    if CallClass::NAMES.iter().any(|(class, _)| costs.calls(*class) > 0) {
        request_context::record_facts(RequestFacts::count_call);
    }
    if let Err(costs) = request_context::add_costs(costs) {
        ledger.charge(Attribution::default(), costs);
    }
}

/// Costs of one call of the object store, summed until it ends.
///
/// Dropping it charges the current request, else the owners of the request that started the call.
#[derive(Debug)]
pub struct CallCost {
    ledger: Arc<CostLedger>,
    attribution: Attribution,
    costs: Costs,
}

impl CallCost {
    /// Starts a call.
    pub fn start(ledger: &Arc<CostLedger>, class: CallClass) -> Self {
        request_context::record_facts(RequestFacts::count_call);
        Self { ledger: Arc::clone(ledger), attribution: request_context::attribution(), costs: Costs::for_call(class) }
    }

    /// Adds sent bytes.
    pub fn add_sent(&mut self, bytes: usize) {
        self.costs.bytes_in += bytes as u64;
    }

    /// Adds received bytes.
    pub fn add_received(&mut self, bytes: usize) {
        self.costs.bytes_out += bytes as u64;
    }

    /// Cancels the charge, for a call that sent nothing.
    pub fn cancel(mut self) {
        request_context::record_facts(RequestFacts::uncount_call);
        self.costs = Costs::default();
    }
}

impl Drop for CallCost {
    fn drop(&mut self) {
        if let Err(costs) = request_context::add_costs(self.costs) {
            self.ledger.charge(self.attribution, costs);
        }
    }
}

// Cost attribution: calls to the object store since the start of this gateway, by store and by run.
//
// An owner is an opaque name. The ledger tracks the most recently charged owners, up to [`MAX_OWNERS`]. The costs of an
// evicted owner move to the sum of the others, and the owner starts from zero when it returns.

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
        let mut state = self.state.lock();
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
        self.state.lock().totals
    }

    /// Returns the costs of a store.
    pub fn store(&self, store: CostOwner) -> OwnerCost {
        self.state.lock().stores.cost(store)
    }

    /// Returns the costs of a run.
    pub fn run(&self, run: CostOwner) -> OwnerCost {
        self.state.lock().runs.cost(run)
    }

    /// Returns the total costs, and those of stores and runs, at one moment.
    pub fn snapshot(&self) -> (Totals, OwnerCosts, OwnerCosts) {
        let state = self.state.lock();
        (state.totals, state.stores.snapshot(), state.runs.snapshot())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_list_prices_calls_and_bytes() {
        let prices: Prices = "a=0.005, b=0.0004,out=0.09".parse().expect("a price list");
        let costs = Costs { class_a: 2000, class_b: 10_000, free: 77, bytes_in: 1 << 30, bytes_out: 2 << 30 };
        assert!((prices.price(&costs) - (0.01 + 0.004 + 0.18)).abs() < 1e-12);
        assert_eq!(prices.to_string(), "a=0.005,b=0.0004,in=0,out=0.09,currency=USD");
        assert_eq!(prices.to_string().parse(), Ok(prices));
        assert_eq!("currency=EUR".parse::<Prices>().expect("a price list").currency, "EUR");
    }

    #[test]
    fn an_invalid_price_list_is_rejected_with_the_reason() {
        for (text, why) in [
            ("", "\"\" is not a name"),
            ("a", "\"a\" is not a name"),
            ("a=0.005,", "\"\" is not a name"),
            ("c=1", "\"c\" is none of"),
            ("a=1,a=2", "a is given twice"),
            ("a=-1", "a is \"-1\""),
            ("out=inf", "out is \"inf\""),
            ("b=cheap", "b is \"cheap\""),
            ("currency=a b", "\"a b\" is not a currency"),
        ] {
            let error = text.parse::<Prices>().expect_err(text).to_string();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }

    #[test]
    fn requests_are_classified_by_method_and_query() {
        for (method, query, class) in [
            ("PUT", "", CallClass::A),
            ("PUT", "partNumber=1&uploadId=x", CallClass::A),
            ("POST", "uploads", CallClass::A),
            ("POST", "x-id=DeleteObjects&delete=", CallClass::Free),
            ("GET", "list-type=2&prefix=delete", CallClass::A),
            ("GET", "", CallClass::B),
            ("HEAD", "", CallClass::B),
            ("DELETE", "uploadId=x", CallClass::Free),
        ] {
            assert_eq!(CallClass::for_request(method, query), class, "{method} {query}");
        }
    }
}

#[cfg(test)]
mod ledger_tests {
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
