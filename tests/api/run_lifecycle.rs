//! The life of runs: heartbeats, timeouts and aborts, waits for the end, retention, and a clock that is wrong.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Larder, RUNS, Run};
use crate::leader::leader_and_another;

const BAKER: &str = "/v2/acts/baker/runs";

contract_test!(a_run_ends_once_and_takes_its_tokens_along, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    assert_eq!(run.object().await["status"], "READY");
    let (token, environment) = run.enter(json!({ "apiBaseUrl": "http://127.0.0.1:1/" })).await;
    assert_eq!(run.object().await["status"], "RUNNING");
    for of_api in ["APIFY_API_BASE_URL", "APIFY_CLIENT_BASE_URL"] {
        assert_eq!(environment[of_api], "http://127.0.0.1:1", "{of_api}");
    }
    for pair in ["DEFAULT_KEY_VALUE_STORE_ID", "DEFAULT_DATASET_ID", "INPUT_KEY", "MEMORY_MBYTES", "STARTED_AT"] {
        assert_eq!(environment[format!("ACTOR_{pair}")], environment[format!("APIFY_{pair}")], "{pair}");
        assert!(environment[format!("ACTOR_{pair}")].is_string(), "{pair} of {environment}");
    }
    assert_eq!(environment["APIFY_ACTOR_RUN_ID"], run.id.as_str());

    run.store.get("/records/INPUT").token(&token).await.answers(200);
    run.store.put("/records/OUTPUT").token(&token).body("bread").await.answers(201);
    larder.get(run.path("")).token(&token).await.answers(200);
    larder.post(run.own("heartbeat")).token(&token).await.answers(200);
    let said = json!({ "statusMessage": "Kneading", "isStatusMessageTerminal": false, "level": "INFO" });
    let changed = larder.put(run.path("")).token(&token).json(&said).await.answers(200).data();
    assert_eq!((&changed["statusMessage"], &changed["isStatusMessageTerminal"]), (&json!("Kneading"), &json!(false)));
    for refused in [
        larder.post(run.own("environment")).token(&token).body("{}"),
        larder.put(run.path("")).token(&token).json(&json!({ "generalAccess": "RESTRICTED" })),
        larder.post("/v2/key-value-stores").token(&token).body("{}"),
        larder.get(RUNS).token(&token),
    ] {
        refused.await.fails(403, "insufficient-permissions");
    }
    let other = Run::start(&larder, BAKER).await;
    larder.get(other.path("")).token(&token).await.fails(403, "insufficient-permissions");
    larder.get(other.path("/key-value-store")).token(&token).await.fails(403, "insufficient-permissions");

    let ended = larder.post(run.own("finish")).token(&token).json(&json!({ "exitCode": 3 })).await.answers(200).data();
    assert_eq!((&ended["status"], &ended["exitCode"]), (&json!("FAILED"), &json!(3)));
    assert!(ended["finishedAt"].is_string());
    run.store.get("/records/INPUT").token(&token).await.fails(401, "user-or-token-not-found");
    for again in [json!({ "exitCode": 0 }), json!({ "status": "ABORTED" })] {
        assert_eq!(run.finish(again).await, ended);
    }
    larder.post(run.path("/abort")).await.answers(200);
    assert_eq!(run.object().await["status"], "FAILED");
    larder.post(run.own("environment")).body("{}").await.fails(400, "job-finished");
    larder.post(run.path("/metamorph?targetActorId=x")).body("{}").await.fails(400, "job-finished");
    let odd = json!({ "exitCode": 0, "status": {} });
    for bad in [json!({}), json!({ "status": "RUNNING" }), json!({ "exitCode": "0" }), odd] {
        larder.post(run.own("finish")).json(&bad).await.fails(400, "invalid-value");
    }
});

contract_test!(what_a_runs_token_is_to_open_is_said_clearly_or_refused, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    for odd in [json!({}), json!("true"), json!(1)] {
        let body = json!({ "openStores": odd });
        larder.post(run.own("environment")).json(&body).await.fails(400, "invalid-value");
    }
    assert_eq!(run.object().await["status"], "READY", "what was refused has begun nothing");
    run.enter(json!({ "openStores": null })).await;
});

contract_test!(the_end_of_a_run_can_be_waited_for, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        let wait = async { larder.get(run.path("?waitForFinish=60")).await.answers(200).data() };
        let end = async {
            larder.sleep(Duration::from_millis(200)).await;
            run.finish(json!({ "exitCode": 0 })).await
        };
        futures_util::join!(wait, end).0
    });
    assert_eq!(waited.await.expect("it does not wait to the end")["status"], "SUCCEEDED");
    let other = Run::start(&larder, BAKER).await;
    assert_eq!(larder.get(other.path("?waitForFinish=1")).await.answers(200).text("status"), "READY");
});

contract_test!(a_run_without_an_end_is_ended_by_its_timeout, async |larder: Larder| {
    let limited = Run::start(&larder, &format!("{BAKER}?timeout=600")).await;
    let (token, _) = limited.enter(json!({})).await;
    let silent = Run::start(&larder, BAKER).await;
    let busy = Run::start(&larder, BAKER).await;
    let aborted = Run::start(&larder, BAKER).await;
    larder.post(aborted.own("heartbeat")).await.answers(200);
    assert_eq!(larder.post(aborted.path("/abort")).await.answers(200).text("status"), "ABORTING");
    assert_eq!(larder.post(aborted.own("heartbeat")).await.answers(200).text("status"), "ABORTING");
    larder.advance(Duration::from_secs(61));
    larder.reconcile_runs().await;
    assert_eq!(aborted.object().await["status"], "ABORTED");
    assert_eq!(limited.object().await["status"], "RUNNING");

    larder.advance(Duration::from_mins(10));
    larder.reconcile_runs().await;
    assert_eq!(limited.object().await["status"], "TIMED-OUT");
    limited.store.get("").token(&token).await.fails(401, "user-or-token-not-found");

    busy.store.put_text("OUTPUT", "bread").await;
    larder.advance(Duration::from_mins(55));
    larder.reconcile_runs().await;
    assert_eq!(silent.object().await["status"], "TIMED-OUT");
    assert_eq!(busy.object().await["status"], "RUNNING", "a run that writes to its store is alive");
    larder.advance(Duration::from_mins(61));
    larder.reconcile_runs().await;
    assert_eq!(busy.object().await["status"], "TIMED-OUT");
});

contract_test!(a_store_lives_as_long_as_its_run_goes_on, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    for _ in 0..20 * 24 * 2 {
        larder.advance(Duration::from_mins(30));
        larder.post(run.own("heartbeat")).await.answers(200);
        larder.reconcile_runs().await;
    }
    larder.reconcile_stores().await;
    run.store.record("INPUT").await.holds(b"{\"flour\":5}");
    run.finish(json!({ "exitCode": 0 })).await;
    larder.advance(Duration::from_hours(24 * 8));
    larder.reconcile_runs().await;
    run.store.get("").await.fails(404, "record-not-found");
});

contract_test!(runs_go_through_every_gateway, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    let run = Run::start(&other, BAKER).await;
    for gateway in [&leader, &other] {
        assert_eq!(gateway.get(format!("{BAKER}/last")).await.text("id"), run.id);
        gateway.put(run.path("/key-value-store/records/a")).body("x").await.answers(201);
    }
    let (token, _) = run.enter(json!({})).await;
    run.store.put("/records/OUTPUT").token(&token).body("bread").await.answers(201);
    other.post(run.path("/metamorph?targetActorId=miller")).body("{}").await.answers(200);
    other.post(run.own("heartbeat")).token(&token).await.answers(200);
    run.finish(json!({ "exitCode": 0 })).await;
    assert_eq!(leader.get(run.path("")).await.text("status"), "SUCCEEDED");
    run.store.get("").token(&token).await.fails(401, "user-or-token-not-found");
});

contract_test!(a_token_that_replaces_a_runs_token_ends_with_the_run, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    let entered = larder.post(run.own("environment")).body("{}").await.answers(201).data();
    let id = entered["tokenId"].as_str().expect("an id");
    let replace = format!("/larder/v1/tokens/{id}/replace");
    let replaced = larder.post(&replace).json(&json!({ "overlapSecs": 2_592_000 })).await.answers(201);
    assert_eq!(replaced.text("runId"), run.id);
    run.store.get("/records/INPUT").token(&replaced.text("token")).await.answers(200);
    run.finish(json!({ "exitCode": 0 })).await;
    let first = entered["environment"]["APIFY_TOKEN"].as_str().expect("a token").to_owned();
    for token in [first, replaced.text("token")] {
        run.store.get("/records/INPUT").token(&token).await.fails(401, "user-or-token-not-found");
    }
    larder.post(&replace).json(&json!({})).await.fails(404, "record-not-found");
});

contract_test!(a_clock_that_is_wrong_for_an_hour_ends_no_run_and_no_token, async |larder: Larder| {
    for days in [10, -10] {
        let limited = Run::start(&larder, &format!("{BAKER}?timeout=86400")).await;
        let (token, _) = limited.enter(json!({})).await;
        let silent = Run::start(&larder, BAKER).await;
        let used = Run::start(&larder, BAKER).await;
        larder.set_wrong_by_days(days);
        let wrong = Run::start(&larder, &format!("{BAKER}?timeout=86400")).await;
        for _ in 0..4 {
            larder.reconcile_runs().await;
            larder.post(wrong.own("heartbeat")).await.answers(200);
            larder.post(limited.own("heartbeat")).await.answers(200);
            larder.get(used.store.path("/records/INPUT")).await;
            larder.advance(Duration::from_mins(14));
        }
        larder.reconcile_runs().await;
        larder.set_wrong_by_days(0);
        for _ in 0..12 {
            larder.reconcile_runs().await;
            for beating in [&wrong, &limited, &silent] {
                larder.post(beating.own("heartbeat")).await.answers(200);
            }
            used.store.put_text("OUTPUT", "bread").await;
            larder.advance(Duration::from_mins(25));
        }
        larder.reconcile_runs().await;
        for run in [&limited, &silent, &wrong] {
            assert_eq!(run.object().await["status"], "RUNNING", "{days} days");
        }
        assert_eq!(used.object().await["status"], "RUNNING", "{days} days");
        limited.store.get("/records/INPUT").token(&token).await.answers(200);
        // Due items are done within two days all the same.
        for _ in 0..48 {
            larder.advance(Duration::from_hours(1));
            larder.reconcile_runs().await;
        }
        for run in [&limited, &silent, &wrong, &used] {
            assert_eq!(run.object().await["status"], "TIMED-OUT", "{days} days");
        }
        limited.store.get("/records/INPUT").token(&token).await.fails(401, "user-or-token-not-found");
    }
});

const DAY: Duration = Duration::from_hours(24);

/// Processes due items of runs and stores, with more than an hour between the two checks.
async fn let_expire(larder: &Larder) {
    for _ in 0..6 {
        larder.reconcile_stores().await;
        larder.reconcile_runs().await;
        larder.flush_and_expire_tokens().await;
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
        larder.reconcile_runs().await;
        larder.advance(Duration::from_mins(50));
        larder.post(going_on.own("heartbeat")).await.answers(200);
        larder.advance(Duration::from_mins(11));
        larder.reconcile_runs().await;
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
