//! Cost of a wait for the end of a run.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Larder, Run};

const BAKER: &str = "/v2/acts/baker/runs";

/// Requests that wait at the same time, and runs that end meanwhile.
const WAITERS: usize = 20;

contract_test!(however_many_wait_for_a_run_share_its_reads_and_no_other_run_wakes_them, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    let mut others = Vec::new();
    for _ in 0..WAITERS {
        others.push(Run::start(&larder, BAKER).await);
    }
    let mut finishing = 0;
    let calls = larder
        .calls(async || {
            let waiting = join_all(
                (0..WAITERS).map(async |_| larder.get(run.path("?waitForFinish=60")).await.answers(200).text("status")),
            );
            let ending = async {
                larder.sleep(Duration::from_millis(300)).await;
                let calls = larder.calls(async || {
                    for other in &others {
                        other.finish(json!({ "exitCode": 0 })).await;
                    }
                });
                finishing = calls.await.get;
                larder.sleep(Duration::from_millis(2200)).await;
                run.finish(json!({ "exitCode": 0 })).await
            };
            let (ends, _) = futures_util::join!(waiting, ending);
            assert_eq!(ends, vec!["SUCCEEDED"; WAITERS]);
        })
        .await;
    // A read for each request, one a second for all together, and what it takes to end the runs: two reads each.
    let seconds = 10;
    assert!(finishing <= 2 * WAITERS + seconds, "{finishing} reads while others end");
    assert!(calls.get <= WAITERS + 2 * (WAITERS + 1) + seconds, "{calls:?}");
});

contract_test!(a_run_that_is_not_waited_for_is_read_once, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    let calls = larder.calls(async || drop(run.object().await)).await;
    assert_eq!(calls.get, 1, "{calls:?}");
});

contract_test!(an_address_without_a_token_waits_for_few_runs_at_once, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    larder.put(run.path("")).json(&json!({ "generalAccess": "ANYONE_WITH_ID_CAN_READ" })).await.answers(200);
    let mut statuses = Vec::new();
    let waiting =
        join_all((0..WAITERS).map(async |_| larder.get(run.path("?waitForFinish=60")).anonymous().await.status));
    let ending = async {
        larder.sleep(Duration::from_millis(500)).await;
        larder.get(run.path("?waitForFinish=1")).await.answers(200);
        larder.get(run.path("")).anonymous().await.answers(200);
        run.finish(json!({ "exitCode": 0 })).await
    };
    let (seen, _) = futures_util::join!(waiting, ending);
    statuses.extend(seen);
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!((1..WAITERS).contains(&refused), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
    larder.get(run.path("?waitForFinish=1")).anonymous().await.answers(200);
});
