//! Which paths there are, and where the same ones are found again.

use serde_json::{Map, Value};

use super::assembly::{Place, mounted};

/// What can be done with one store.
const STORE: &str = include_str!("store.json");

/// What can be done with the runs of an actor or a task.
const RUN_SOURCE: &str = include_str!("run_source.json");

/// What of the upstream's is passed on by the id that it has there.
const UPSTREAM_ALL: &str = include_str!("upstream_all.json");
const UPSTREAM_ONE: &str = include_str!("upstream_one.json");

/// Paths that are found once.
const ONCE: [(&str, &str); 5] = [
    (include_str!("stores.json"), "Stores"),
    (include_str!("sharing.json"), "Sharing"),
    (include_str!("accounts.json"), "Users and tokens"),
    (include_str!("runs.json"), "Runs"),
    (include_str!("service.json"), "Service"),
];

/// What runs are runs of, and how ids of operations tell which.
const SOURCES: [(&str, &[&str], &str); 3] = [
    ("/v2/acts/{actorId}", &["actorId"], "Act"),
    ("/v2/actors/{actorId}", &["actorId"], "Actor"),
    ("/v2/actor-tasks/{taskId}", &["taskId"], "Task"),
];

/// Where the store, the dataset and the request queue of a run are.
const RUNS: [(&str, &[&str], &str); 4] = [
    ("/v2/actor-runs/{runId}", &["runId"], "OfRun"),
    ("/v2/acts/{actorId}/runs/last", &["actorId", "status", "origin"], "OfLastRunOfAct"),
    ("/v2/actors/{actorId}/runs/last", &["actorId", "status", "origin"], "OfLastRunOfActor"),
    ("/v2/actor-tasks/{taskId}/runs/last", &["taskId", "status", "origin"], "OfLastRunOfTask"),
];

/// What a run has at the upstream, as its paths call it and as those of the upstream call all of them.
const ELSEWHERE: [(&str, &str, &str); 2] =
    [("dataset", "datasets", "Dataset"), ("request-queue", "request-queues", "RequestQueue")];

/// What everything that is passed on is filed under.
const PASSED_ON: &str = "Datasets and request queues";

/// Every path, with what can be done there.
pub(super) fn paths() -> Value {
    let mut paths = Map::new();
    let mut mount = |file: &str, base: String, parameters, suffix: String, tag| {
        paths.extend(mounted(file, &Place { base, parameters, suffix, tag }));
    };
    for (file, tag) in ONCE {
        mount(file, String::new(), &[], String::new(), tag);
    }
    mount(STORE, "/v2/key-value-stores/{storeId}".to_owned(), &["storeId"], String::new(), "Stores");
    for (base, parameters, of) in SOURCES {
        mount(RUN_SOURCE, base.to_owned(), parameters, of.to_owned(), "Runs");
    }
    for (base, parameters, of) in RUNS {
        mount(STORE, format!("{base}/key-value-store"), parameters, of.to_owned(), "Stores of runs");
        for (path, _, what) in ELSEWHERE {
            mount(UPSTREAM_ONE, format!("{base}/{path}"), parameters, format!("{what}{of}"), PASSED_ON);
        }
    }
    for (_, collection, what) in ELSEWHERE {
        mount(UPSTREAM_ALL, format!("/v2/{collection}"), &[], what.to_owned(), PASSED_ON);
        mount(UPSTREAM_ONE, format!("/v2/{collection}/{{upstreamId}}"), &["upstreamId"], what.to_owned(), PASSED_ON);
    }
    paths.into()
}
