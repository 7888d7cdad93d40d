//! Lifecycle of runs, and of everything that ends with them.

use std::time::Duration;

use serde_json::json;

use crate::{
    harness::{Larder, RUNS, Run},
    leader::leader_and_another,
};

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

contract_test!(a_run_is_ended_for_whoever_does_not_end_it, async |larder: Larder| {
    let limited = Run::start(&larder, &format!("{BAKER}?timeout=600")).await;
    let (token, _) = limited.enter(json!({})).await;
    let silent = Run::start(&larder, BAKER).await;
    let busy = Run::start(&larder, BAKER).await;
    let aborted = Run::start(&larder, BAKER).await;
    larder.post(aborted.own("heartbeat")).await.answers(200);
    assert_eq!(larder.post(aborted.path("/abort")).await.answers(200).text("status"), "ABORTING");
    assert_eq!(larder.post(aborted.own("heartbeat")).await.answers(200).text("status"), "ABORTING");
    larder.advance(Duration::from_secs(61));
    larder.run_upkeep().await;
    assert_eq!(aborted.object().await["status"], "ABORTED");
    assert_eq!(limited.object().await["status"], "RUNNING");

    larder.advance(Duration::from_mins(10));
    larder.run_upkeep().await;
    assert_eq!(limited.object().await["status"], "TIMED-OUT");
    limited.store.get("").token(&token).await.fails(401, "user-or-token-not-found");

    busy.store.put_text("OUTPUT", "bread").await;
    larder.advance(Duration::from_mins(55));
    larder.run_upkeep().await;
    assert_eq!(silent.object().await["status"], "TIMED-OUT");
    assert_eq!(busy.object().await["status"], "RUNNING", "who writes to his store is alive");
    larder.advance(Duration::from_mins(61));
    larder.run_upkeep().await;
    assert_eq!(busy.object().await["status"], "TIMED-OUT");
});

contract_test!(a_store_lives_as_long_as_its_run_goes_on, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    for _ in 0..20 * 24 * 2 {
        larder.advance(Duration::from_mins(30));
        larder.post(run.own("heartbeat")).await.answers(200);
        larder.run_upkeep().await;
    }
    larder.upkeep().await;
    run.store.record("INPUT").await.holds(b"{\"flour\":5}");
    run.finish(json!({ "exitCode": 0 })).await;
    larder.advance(Duration::from_hours(24 * 8));
    larder.run_upkeep().await;
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
