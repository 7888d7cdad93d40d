//! Runs: creation, reads, updates, and lists.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Larder, RUNS, Run, Store, gzip};

const BAKER: &str = "/v2/acts/baker/runs";

contract_test!(a_run_is_made_with_its_input_byte_for_byte, async |larder: Larder| {
    let input = gzip(b"{\"flour\": 5}").await;
    let request = larder.post(format!("{BAKER}?timeout=60&memory=512&build=beta"));
    let request = request.content_type("application/json; charset=utf-8").field("Content-Encoding", "gzip");
    let made = request.body(input.clone()).await.answers(201);
    let run = Run::of(&larder, &made);
    assert!(made.expect_field("location").ends_with(&run.path("")));
    let record = run.store.get("/records/INPUT").field("Accept-Encoding", "gzip").await.answers(200).holds(&input);
    assert_eq!(record.expect_field("content-type"), "application/json; charset=utf-8");
    let object = made.data();
    assert_eq!(
        object["options"],
        json!({ "build": "beta", "timeoutSecs": 60, "memoryMbytes": 512, "diskMbytes": 1024 })
    );
    assert_eq!((&object["status"], &object["meta"]), (&json!("READY"), &json!({ "origin": "API" })));
    let store = run.store.object().await;
    assert_eq!((&store["actRunId"], &store["actId"]), (&object["id"], &object["actId"]));

    for empty in [larder.post(BAKER), larder.post(BAKER).chunked(Vec::new())] {
        let run = Run::of(&larder, &empty.await.answers(201));
        assert_eq!(run.store.keys().await, Vec::<String>::new());
    }
    for (bad, kind) in [
        ("memory=64", "invalid-parameter"),
        ("timeout=-1", "invalid-parameter"),
        ("timeout=31622401", "invalid-parameter"),
        ("timeout=9223372036854775807", "invalid-parameter"),
        ("waitForFinish=x", "invalid-parameter"),
        ("origin=nowhere", "invalid-request"),
    ] {
        larder.post(format!("{BAKER}?{bad}")).await.fails(400, kind);
    }
    let chunks = vec!["{\"flour\":".into(), "5}".into()];
    let run = Run::of(&larder, &larder.post(BAKER).chunked(chunks).await.answers(201));
    run.store.record("INPUT").await.holds(b"{\"flour\":5}");
});

contract_test!(case_188_and_198_a_run_names_its_store, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    let object = run.object().await;
    assert_eq!(object["defaultKeyValueStoreId"], run.store.id.as_str());
    let by_id = run.store.object().await;
    let by_run = larder.get(run.path("/key-value-store")).await.answers(200).data();
    assert_eq!((&by_run["id"], &by_run["urlSigningSecretKey"]), (&by_id["id"], &by_id["urlSigningSecretKey"]));
    for member in ["datasets", "keyValueStores", "requestQueues"] {
        assert!(object["storageIds"][member]["default"].is_string(), "{object}");
    }
    for member in [
        "id",
        "actId",
        "userId",
        "startedAt",
        "status",
        "buildId",
        "generalAccess",
        "defaultKeyValueStoreId",
        "defaultDatasetId",
        "defaultRequestQueueId",
    ] {
        assert!(object[member].is_string(), "{member} of {object}");
    }
    assert_eq!(object["usageTotalUsd"], 0, "the Python client wants it in lists");
    larder.get("/v2/acts/baker").await.fails(404, "record-not-found");
    assert!(object["stats"].is_object() && object["options"].is_object() && object["meta"]["origin"].is_string());
});

contract_test!(case_189_records_through_a_run_are_those_of_its_store, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    let record = run.path("/key-value-store/records/OUTPUT");
    let put = larder.put(&record).content_type("image/png").body("pixels").await.answers(201);
    assert!(put.expect_field("location").ends_with(&run.store.path("/records/OUTPUT")));
    assert_eq!(put.expect_field("x-ratelimit-limit"), "200");
    larder.get(&record).await.answers(200).holds(b"pixels");
    assert_eq!(larder.head(&record).await.answers(200).expect_field("content-length"), "6");
    run.store.record("OUTPUT").await.holds(b"pixels");
    larder.post(&record).content_type("text/plain").body("bread").await.answers(201);
    larder.get(&record).field("Range", "bytes=0-1").await.answers(206).holds(b"br");
    larder.put(&record).field("If-None-Match", "*").body("x").await.fails(412, "precondition-failed");
    let keys = larder.get(run.path("/key-value-store/keys?prefix=OUT")).await.answers(200);
    assert_eq!(keys.texts_of_items("key"), ["OUTPUT"]);
    larder.get(run.path("/key-value-store/records")).await.answers(200);
    larder.delete(&record).await.answers(204);
    larder.head(&record).await.answers(404);
    run.store.get("/records/OUTPUT").await.fails(404, "record-not-found");
    larder.put(run.path("/key-value-store/records/a%2Fb")).body("x").await.fails(400, "invalid-record-key");
    larder.put(run.path("/key-value-store")).json(&json!({ "title": "Oven" })).await.answers(200);
    assert_eq!(run.store.object().await["title"], "Oven");
    larder.delete(run.path("/key-value-store")).await.answers(204);
    run.store.get("").await.fails(404, "record-not-found");
    assert_eq!(run.object().await["id"], run.id.as_str(), "a run outlives its store");
});

contract_test!(case_190_a_run_that_is_not_has_no_store, async |larder: Larder| {
    for id in ["unknown", "WkzbQMuFYuamGv3YF"] {
        larder.get(format!("{RUNS}/{id}/key-value-store")).await.fails(404, "record-not-found");
        larder.get(format!("{RUNS}/{id}")).await.fails(404, "record-not-found");
        larder.put(format!("{RUNS}/{id}/key-value-store/records/a")).body("x").await.fails(404, "record-not-found");
    }
});

contract_test!(case_191_to_193_the_last_run_is_the_newest_that_matches, async |larder: Larder| {
    let first = Run::start(&larder, BAKER).await;
    first.store.put_text("first", "x").await;
    first.finish(json!({ "exitCode": 0 })).await;
    let second = Run::start(&larder, &format!("{BAKER}?origin=CLI")).await;
    second.store.put_text("second", "x").await;
    second.finish(json!({ "exitCode": 1 })).await;
    for kind in ["acts", "actors"] {
        let last = |rest: &str| larder.get(format!("/v2/{kind}/baker/runs/last{rest}"));
        for (query, expected) in [
            ("", &second),
            ("?status=SUCCEEDED", &first),
            ("?status=FAILED", &second),
            ("?status=FAILED,SUCCEEDED", &second),
            ("?origin=API", &first),
            ("?origin=CLI&status=FAILED", &second),
        ] {
            assert_eq!(last(query).await.answers(200).text("id"), expected.id, "{kind} {query}");
            assert_eq!(last(&format!("/key-value-store{query}")).await.text("id"), expected.store.id);
        }
        let keys = last("/key-value-store/keys?status=SUCCEEDED").await.answers(200);
        assert_eq!(keys.texts_of_items("key"), ["INPUT", "first"]);
        last("?status=ABORTED").await.fails(404, "record-not-found");
        for (query, message) in [
            ("status=bogus", "Status parameter has an invalid value"),
            ("origin=bogus", "Origin parameter has an invalid value"),
        ] {
            assert_eq!(last(&format!("/key-value-store/keys?{query}")).await.fails(400, "invalid-request"), message);
            assert_eq!(last(&format!("?{query}")).await.fails(400, "invalid-request"), message);
            let absent = larder.get(format!("/v2/{kind}/absent/runs/last?{query}"));
            assert_eq!(absent.await.fails(400, "invalid-request"), message);
        }
    }
});

contract_test!(case_194_the_last_run_is_for_those_with_a_token, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    larder.put(run.path("")).json(&json!({ "generalAccess": "ANYONE_WITH_ID_CAN_READ" })).await.answers(200);
    for path in ["", "/key-value-store", "/key-value-store/keys", "/key-value-store/records/INPUT"] {
        larder.get(format!("{BAKER}/last{path}")).anonymous().await.fails(401, "token-not-provided");
    }
    larder.get("/v2/actor-tasks/baker/runs/last").anonymous().await.fails(401, "token-not-provided");
});

contract_test!(case_195_and_196_a_task_has_runs_of_its_own, async |larder: Larder| {
    let of_actor = Run::start(&larder, BAKER).await;
    larder.get("/v2/actor-tasks/baker/runs/last").await.fails(404, "record-not-found");
    larder.get("/v2/acts/butcher/runs/last/key-value-store").await.fails(404, "record-not-found");
    larder.get("/v2/acts/absent~baker/runs/last").await.fails(404, "record-not-found");
    let of_task = Run::start(&larder, "/v2/actor-tasks/admin~baker/runs").await;
    of_task.store.put_text("OUTPUT", "bread").await;
    let task = larder.get(of_task.path("")).await.text("actorTaskId");
    for task in ["~baker", "baker", "ADMIN~Baker", "admin%2Fbaker", &task] {
        let output = format!("/v2/actor-tasks/{task}/runs/last/key-value-store/records/OUTPUT");
        larder.get(output).await.answers(200).holds(b"bread");
    }
    let actor = larder.get(of_actor.path("")).await.text("actId");
    for actor in ["~baker", "baker", "Admin~BAKER", "admin%2Fbaker", &actor] {
        let last = larder.get(format!("/v2/actors/{actor}/runs/last")).await.answers(200);
        assert_eq!(last.text("id"), of_actor.id, "{actor}");
    }
});

contract_test!(case_197_a_metamorph_keeps_the_input_and_adds_another, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    let (token, _) = run.enter(json!({})).await;
    let metamorph = |query: &str| larder.post(run.path(&format!("/metamorph{query}"))).token(&token);
    metamorph("").body("x").await.fails(400, "invalid-request");
    for number in 1..=10 {
        let input = format!("{{\"salt\": {number}}}");
        let request = metamorph("?targetActorId=admin~miller&build=beta").content_type("application/json");
        let changed = request.body(input.clone()).await.answers(200).data();
        let metamorphs = changed["metamorphs"].as_array().expect("a list");
        assert_eq!(metamorphs.len(), number);
        let key = format!("INPUT-METAMORPH-{number}");
        assert_eq!(metamorphs[number - 1]["inputKey"], key.as_str());
        run.store.record(&key).await.holds(input.as_bytes());
    }
    run.store.record("INPUT").await.holds(b"{\"flour\":5}");
    metamorph("?targetActorId=miller").body("{}").await.fails(400, "max-metamorphs-exceeded");
    let (_, environment) = run.enter(json!({})).await;
    assert_eq!(environment["ACTOR_INPUT_KEY"], "INPUT-METAMORPH-10");
    assert_ne!(environment["ACTOR_ID"], run.object().await["actId"]);
});

contract_test!(a_run_may_open_stores_if_that_was_asked_for, async |larder: Larder| {
    let cellar = larder.named_store("cellar").await;
    let unnamed = larder.new_store().await;
    let run = Run::start(&larder, BAKER).await;
    let (token, _) = run.enter(json!({ "openStores": true })).await;
    let opened = larder.post("/v2/key-value-stores?name=cellar").token(&token).await.answers(200);
    assert_eq!(opened.text("id"), cellar.id);
    cellar.put("/records/a").token(&token).body("salt").await.answers(201);
    let made = larder.post("/v2/key-value-stores?name=pantry").token(&token).await.answers(201).text("id");
    Store::new(&larder, made).delete("").token(&token).await.answers(204);
    unnamed.get("").token(&token).await.fails(403, "insufficient-permissions");
    larder.get("/larder/v1/tokens").token(&token).await.fails(403, "insufficient-permissions");
});

contract_test!(another_user_sees_a_run_as_its_owner_says, async |larder: Larder| {
    let bob = larder.user("bob").await;
    let run = Run::start(&larder, BAKER).await;
    let paths = [run.path(""), run.path("/key-value-store"), run.path("/key-value-store/records/INPUT")];
    for path in &paths {
        larder.get(path).token(&bob).await.fails(403, "insufficient-permissions");
        larder.get(path).anonymous().await.fails(403, "insufficient-permissions");
    }
    assert_eq!(larder.get(RUNS).token(&bob).await.data()["total"], 0);
    larder.get(format!("{BAKER}/last")).token(&bob).await.fails(404, "record-not-found");
    larder.put(run.path("")).json(&json!({ "generalAccess": "ANYONE_WITH_ID_CAN_READ" })).await.answers(200);
    for path in &paths {
        larder.get(path).token(&bob).await.answers(200);
        larder.get(path).anonymous().await.answers(200);
    }
    run.store.get("/keys").anonymous().await.answers(200);
    for method in ["PUT", "DELETE"] {
        let record = run.path("/key-value-store/records/INPUT");
        larder.request(method, &record).token(&bob).body("x").await.fails(403, "insufficient-permissions");
        larder.request(method, &record).anonymous().body("x").await.fails(401, "token-not-provided");
    }
    larder.post(run.own("finish")).token(&bob).body("{}").await.fails(403, "insufficient-permissions");
});

contract_test!(runs_are_listed_by_their_age, async |larder: Larder| {
    let mut ids = Vec::new();
    for actor in ["baker", "miller", "baker"] {
        ids.push(Run::start(&larder, &format!("/v2/acts/{actor}/runs")).await.id);
    }
    larder.post(format!("/larder/v1/runs/{}/finish", ids[1])).json(&json!({ "exitCode": 0 })).await.answers(200);
    let list = async |path: &str| {
        let reply = larder.get(path).await.answers(200);
        (reply.texts_of_items("id"), reply.data()["total"].as_u64().expect("a number"))
    };
    let of = |numbers: &[usize]| numbers.iter().map(|number| ids[*number].clone()).collect::<Vec<_>>();
    assert_eq!(list(RUNS).await, (of(&[0, 1, 2]), 3));
    assert_eq!(list(&format!("{RUNS}?desc=1&limit=2")).await, (of(&[2, 1]), 3));
    assert_eq!(list(&format!("{RUNS}?offset=1&limit=1")).await, (of(&[1]), 3));
    assert_eq!(list(&format!("{RUNS}?status=SUCCEEDED")).await, (of(&[1]), 1));
    assert_eq!(list(&format!("{RUNS}?status=READY&desc=1&offset=1")).await, (of(&[0]), 2));
    assert_eq!(list(BAKER).await, (of(&[0, 2]), 2));
    assert_eq!(list("/v2/actors/admin~miller/runs").await, (of(&[1]), 1));
    assert_eq!(list("/v2/actor-tasks/baker/runs").await, (Vec::new(), 0));
    larder.get(format!("{RUNS}?status=bogus")).await.fails(400, "invalid-request");
    larder.get(format!("{RUNS}?limit=-1")).await.fails(400, "invalid-parameter");
});

contract_test!(unsupported_operations_are_refused, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    for call in ["reboot", "resurrect", "charge"] {
        larder.post(run.path(&format!("/{call}"))).body("{}").await.fails(403, "platform-feature-disabled");
    }
    larder.post("/v2/acts/baker/run-sync").body("{}").await.fails(403, "platform-feature-disabled");
    larder.delete(run.path("")).await.fails(403, "platform-feature-disabled");
    for log in [run.path("/log"), format!("/v2/logs/{}", run.id), format!("{BAKER}/last/log")] {
        larder.get(log).await.fails(403, "platform-feature-disabled");
    }
    // The official JavaScript client follows the log of a run that it has started, and takes this for a run without one.
    larder.get(run.path("/log?stream=1")).await.fails(404, "record-not-found");
    larder.post(run.path("/abort?gracefully=1")).await.fails(403, "platform-feature-disabled");
    assert_eq!(larder.get(run.path("")).await.answers(200).text("status"), "READY", "what was refused did nothing");
});

contract_test!(the_last_run_is_changed_as_by_its_id, async |larder: Larder| {
    let run = Run::start(&larder, BAKER).await;
    for path in [format!("{BAKER}/last"), format!("{BAKER}/{}", run.id)] {
        let changed = larder.post(format!("{path}/metamorph?targetActorId=cook")).body("{}").await.answers(200);
        assert_eq!(changed.text("id"), run.id);
        larder.post(format!("{path}/reboot")).await.fails(403, "platform-feature-disabled");
    }
    let aborted = larder.post(format!("{BAKER}/last/abort?status=READY")).await.answers(200);
    assert_eq!((aborted.text("id"), aborted.text("status")), (run.id.clone(), "ABORTED".to_owned()));
    let late = larder.post(format!("{BAKER}/last/metamorph?targetActorId=cook")).body("{}").await;
    assert!(late.fails(400, "job-finished").contains("already finished"), "{late}");
    larder.post(format!("{BAKER}/last/abort?status=RUNNING")).await.fails(404, "record-not-found");
    larder.post("/v2/actor-tasks/baker/runs/last/abort").await.fails(404, "record-not-found");
});

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
