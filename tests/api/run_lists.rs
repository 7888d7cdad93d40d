//! Lists of runs: their cost, and their contents while runs change.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Larder, RUNS, Run};

const BAKER: &str = "/v2/acts/baker/runs";

/// Number of runs beyond those that the list asks for.
const OTHERS: usize = 30;

async fn ids(larder: &Larder, path: &str) -> (Vec<String>, u64) {
    let reply = larder.get(path).await.answers(200);
    (reply.texts_of_items("id"), reply.data()["total"].as_u64().expect("a number"))
}

contract_test!(a_list_by_status_reads_the_runs_that_it_shows_and_no_others, async |larder: Larder| {
    let failed = Run::start(&larder, BAKER).await;
    failed.finish(json!({ "exitCode": 1 })).await;
    for _ in 0..OTHERS {
        Run::start(&larder, BAKER).await;
    }
    let calls = larder
        .calls(async || {
            assert_eq!(ids(&larder, &format!("{RUNS}?status=FAILED")).await, (vec![failed.id.clone()], 1));
        })
        .await;
    assert_eq!((calls.list, calls.get), (1, 1), "{calls:?}");
    let calls = larder
        .calls(async || {
            assert_eq!(ids(&larder, &format!("{RUNS}?status=READY&limit=1&desc=1")).await.1, OTHERS as u64);
        })
        .await;
    assert_eq!((calls.list, calls.get), (1, 1), "{calls:?}");
});

contract_test!(the_last_run_of_a_status_costs_one_list_and_one_read, async |larder: Larder| {
    let failed = Run::start(&larder, BAKER).await;
    failed.finish(json!({ "exitCode": 1 })).await;
    for _ in 0..OTHERS {
        Run::start(&larder, BAKER).await.finish(json!({ "exitCode": 0 })).await;
    }
    let calls = larder
        .calls(async || {
            let last = larder.get(format!("{BAKER}/last?status=FAILED,ABORTED&origin=API")).await.answers(200);
            assert_eq!(last.text("id"), failed.id);
        })
        .await;
    assert_eq!((calls.list, calls.get), (1, 1), "{calls:?}");
});

contract_test!(runs_are_listed_by_when_they_started, async |larder: Larder| {
    let mut started = Vec::new();
    for _ in 0..3 {
        larder.advance(Duration::from_mins(1));
        let run = Run::start(&larder, BAKER).await;
        let at = run.object().await["startedAt"].as_str().expect("a date").to_owned();
        started.push((run.id, at));
    }
    let [(first, _), (second, at), (third, _)] = started.try_into().expect("three runs");
    let list = async |query: String| ids(&larder, &format!("{RUNS}?{query}")).await;
    assert_eq!(list(format!("startedAfter={at}")).await, (vec![second.clone(), third.clone()], 2));
    assert_eq!(list(format!("startedBefore={at}&desc=1")).await, (vec![second.clone(), first.clone()], 2));
    assert_eq!(list(format!("startedAfter={at}&startedBefore={at}&status=READY")).await, (vec![second], 1));
    assert_eq!(list(format!("startedAfter={at}&status=FAILED")).await, (Vec::new(), 0));
    larder.get(format!("{RUNS}?startedAfter=yesterday")).await.fails(400, "invalid-parameter");
});

contract_test!(a_run_has_one_entry_in_each_list_whatever_became_of_it, async |larder: Larder| {
    let run = Run::start(&larder, "/v2/actor-tasks/baker/runs").await;
    let entries = async || larder.count_objects("larder/runs-by-owner/").await;
    let before = entries().await;
    larder.post(run.own("heartbeat")).await.answers(200);
    assert_eq!(entries().await, before);
    larder.post(run.path("/abort")).await.answers(200);
    assert_eq!(entries().await, before);
    run.finish(json!({ "status": "ABORTED" })).await;
    assert_eq!(entries().await, before);
    for (status, total) in [("READY", 0), ("RUNNING", 0), ("ABORTING", 0), ("ABORTED", 1), ("ABORTED,READY", 1)] {
        assert_eq!(ids(&larder, &format!("{RUNS}?status={status}")).await.1, total, "{status}");
    }
});
