//! Cost of object calls and bytes by store and run, counted by this gateway since its start.

use std::cmp::Reverse;

use http::{Response, StatusCode};
use serde::Serialize;

use crate::{
    api::{
        context::Context,
        message::{
            error::ApiError,
            request::Request,
            response::{self, ResponseBody},
        },
    },
    auth::{AccountAction, Caller, Grant, RunGrant, authorize_account},
    clock::Timestamp,
    telemetry::{CostOwner, Costs, OwnerCost, OwnerCosts, Prices},
};

use super::responses::Data;

/// Maximum number of stores and runs that are listed individually.
const MAX_LISTED: usize = 1000;

/// Default number of those.
const DEFAULT_LISTED: usize = 100;

/// Calls and bytes, with their cost.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    calls: Calls,
    bytes_in: u64,
    bytes_out: u64,
    /// `null` without a price list.
    cost: Option<f64>,
}

/// Calls by billing class.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Calls {
    class_a: u64,
    class_b: u64,
    free: u64,
}

/// Configured price list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PriceList<'a> {
    currency: &'a str,
    class_a_per_thousand: f64,
    class_b_per_thousand: f64,
    in_per_gib: f64,
    out_per_gib: f64,
}

/// Usage of one store or run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageOf<'a> {
    id: &'a str,
    #[serde(flatten)]
    usage: Usage,
    /// True if no part of it is in the sum of the others.
    is_complete: bool,
}

/// The same as a response.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OneUsage<'a> {
    since: Timestamp,
    prices: Option<PriceList<'a>>,
    #[serde(flatten)]
    of: UsageOf<'a>,
}

/// Usage of one kind: that many individually, and the sum of all others.
#[derive(Debug, Serialize)]
struct Breakdown<'a> {
    items: Vec<UsageOf<'a>>,
    others: Usage,
}

/// Usage of everything.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AllUsage<'a> {
    since: Timestamp,
    prices: Option<PriceList<'a>>,
    total: Usage,
    without_store: Usage,
    background: Usage,
    stores: Breakdown<'a>,
    runs: Breakdown<'a>,
}

impl Usage {
    fn new(costs: &Costs, prices: Option<&Prices>) -> Self {
        let Costs { class_a, class_b, free, bytes_in, bytes_out } = *costs;
        let cost = prices.map(|prices| prices.price(costs));
        Self { calls: Calls { class_a, class_b, free }, bytes_in, bytes_out, cost }
    }
}

impl<'a> UsageOf<'a> {
    fn new(id: &'a str, cost: &OwnerCost, prices: Option<&Prices>) -> Self {
        Self { id, usage: Usage::new(&cost.costs, prices), is_complete: cost.is_complete }
    }
}

/// Returns the cost of a store.
pub fn store(context: &Context, grant: &Grant) -> Response<ResponseBody> {
    one(context, grant.store().document.id.as_str(), |owner| context.ledger.store(owner))
}

/// Returns the cost of a run.
pub fn run(context: &Context, grant: &RunGrant) -> Response<ResponseBody> {
    one(context, grant.run().id.as_str(), |owner| context.ledger.run(owner))
}

fn one(context: &Context, id: &str, cost_of: impl FnOnce(CostOwner) -> OwnerCost) -> Response<ResponseBody> {
    let cost = CostOwner::from_name(id).map(cost_of).unwrap_or_default();
    let prices = context.config.prices.as_ref();
    let of = UsageOf::new(id, &cost, prices);
    let data = OneUsage { since: context.since, prices: prices.map(list), of };
    response::json(StatusCode::OK, &Data { data })
}

/// Returns the cost of everything, with the stores and runs that cost most; for the admin.
pub fn all(context: &Context, caller: &Caller, request: &Request<'_>) -> Result<Response<ResponseBody>, ApiError> {
    authorize_account(caller, AccountAction::Administer)?;
    let limit = request.query.limit_or(DEFAULT_LISTED, MAX_LISTED)?;
    let prices = context.config.prices.as_ref();
    let usage = |costs: &Costs| Usage::new(costs, prices);
    let (totals, stores, runs) = context.ledger.snapshot();
    let (stores, runs) = (most_expensive(stores, prices, limit), most_expensive(runs, prices, limit));
    let data = AllUsage {
        since: context.since,
        prices: prices.map(list),
        total: usage(&totals.all),
        without_store: usage(&totals.without_store),
        background: usage(&totals.background),
        stores: breakdown(&stores, prices),
        runs: breakdown(&runs, prices),
    };
    Ok(response::json(StatusCode::OK, &Data { data }))
}

/// Returns those with the highest cost, or without prices those with the most calls, ties ordered by name; the rest are
/// added to the others.
fn most_expensive(mut costs_by_owner: OwnerCosts, prices: Option<&Prices>, limit: usize) -> OwnerCosts {
    let calls = |costs: &Costs| costs.class_a + costs.class_b + costs.free;
    let price = |cost: &OwnerCost| prices.map_or(0.0, |prices| prices.price(&cost.costs));
    costs_by_owner.tracked.sort_by(|(one, of_one), (other, of_other)| {
        let by_cost = price(of_other).total_cmp(&price(of_one));
        let by_calls = Reverse(calls(&of_one.costs)).cmp(&Reverse(calls(&of_other.costs)));
        by_cost.then(by_calls).then(one.cmp(other))
    });
    for (_, cost) in costs_by_owner.tracked.drain(limit.min(costs_by_owner.tracked.len())..) {
        costs_by_owner.others += cost.costs;
    }
    costs_by_owner
}

fn breakdown<'a>(costs_by_owner: &'a OwnerCosts, prices: Option<&Prices>) -> Breakdown<'a> {
    let items = costs_by_owner.tracked.iter().map(|(owner, cost)| UsageOf::new(owner.name(), cost, prices)).collect();
    Breakdown { items, others: Usage::new(&costs_by_owner.others, prices) }
}

fn list(prices: &Prices) -> PriceList<'_> {
    PriceList {
        currency: &prices.currency,
        class_a_per_thousand: prices.class_a,
        class_b_per_thousand: prices.class_b,
        in_per_gib: prices.bytes_in,
        out_per_gib: prices.bytes_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_cost_most_come_first_and_the_others_are_summed() {
        let cost =
            |class_a, class_b| OwnerCost { costs: Costs { class_a, class_b, ..Costs::default() }, is_complete: true };
        let costs_by_owner = || OwnerCosts {
            tracked: [("many", cost(1, 90)), ("dear", cost(50, 1)), ("few", cost(1, 1))]
                .map(|(name, cost)| (CostOwner::from_name(name).expect("a name"), cost))
                .into(),
            others: Costs::default(),
        };
        let names = |costs_by_owner: &OwnerCosts| {
            costs_by_owner.tracked.iter().map(|(owner, _)| owner.name().to_owned()).collect::<Vec<_>>()
        };
        let prices = Prices { class_a: 5.0, class_b: 0.1, ..Prices::default() };
        assert_eq!(names(&most_expensive(costs_by_owner(), Some(&prices), 9)), ["dear", "many", "few"]);
        let two = most_expensive(costs_by_owner(), None, 2);
        assert_eq!(names(&two), ["many", "dear"]);
        assert_eq!(two.others, cost(1, 1).costs);
    }
}
