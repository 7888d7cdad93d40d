//! Retention of finished runs: their deletion, and what remains of them.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Larder, RUNS, Run};

const BAKER: &str = "/v2/acts/baker/runs";

const DAY: Duration = Duration::from_hours(24);

/// Processes due items of runs and stores, with more than an hour between the two checks.
async fn let_expire(larder: &Larder) {
    for _ in 0..6 {
        larder.upkeep().await;
        larder.run_upkeep().await;
        larder.token_upkeep().await;
        larder.advance(Duration::from_mins(61));
    }
}

contract_test!(
    a_finished_run_is_deleted_with_all_that_hangs_on_it_once_its_store_has_expired,
    async |larder: Larder| {
        let counted = ["larder/runs", "larder/auth/token"];
        let count = async || {
            let mut counts = Vec::new();
            for prefix in counted {
                counts.push(larder.count_objects(prefix).await);
            }
            counts
        };
        let before = count().await;
        let mut made = Vec::new();
        for number in 0..10 {
            let base = if number % 2 == 0 { BAKER } else { "/v2/actor-tasks/baker/runs" };
            let run = Run::start(&larder, base).await;
            let (token, _) = run.enter(json!({})).await;
            run.store.put("/records/OUTPUT").token(&token).body("bread").await.answers(201);
            run.finish(json!({ "exitCode": number % 3 })).await;
            made.push(run);
        }
        larder.advance(6 * DAY);
        let_expire(&larder).await;
        assert_eq!(larder.get(RUNS).await.answers(200).data()["total"], 10, "their time is not over");
        larder.advance(2 * DAY);
        let_expire(&larder).await;
        for run in &made {
            larder.get(run.path("")).await.fails(404, "record-not-found");
            larder.get(run.path("/key-value-store")).await.fails(404, "record-not-found");
        }
        assert_eq!(larder.get(RUNS).await.answers(200).data()["total"], 0);
        assert_eq!(count().await, before);
    }
);

contract_test!(a_run_stays_as_long_as_its_unnamed_store_and_a_named_store_stays_without_it, async |larder: Larder| {
    let used = Run::start(&larder, BAKER).await;
    let named = Run::start(&larder, BAKER).await;
    let going_on = Run::start(&larder, BAKER).await;
    used.finish(json!({ "exitCode": 0 })).await;
    named.finish(json!({ "exitCode": 0 })).await;
    named.store.put("").json(&json!({ "name": "bread" })).await.answers(200);
    for _ in 0..20 {
        larder.advance(Duration::from_hours(11));
        larder.post(going_on.own("heartbeat")).await.answers(200);
        used.store.put_text("OUTPUT", "bread").await;
        larder.run_upkeep().await;
        larder.advance(Duration::from_mins(50));
        larder.post(going_on.own("heartbeat")).await.answers(200);
        larder.advance(Duration::from_mins(11));
        larder.run_upkeep().await;
    }
    larder.get(used.path("")).await.answers(200);
    larder.get(going_on.path("")).await.answers(200);
    for path in [named.path(""), named.path("/key-value-store/records/INPUT")] {
        larder.get(path).await.fails(404, "record-not-found");
    }
    named.store.record("INPUT").await.holds(b"{\"flour\":5}");
    larder.get("/v2/key-value-stores/~bread/records/INPUT").await.answers(200);
    assert_eq!(larder.get(RUNS).await.answers(200).data()["total"], 2);
});
