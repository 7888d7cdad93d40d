//! Paths of the description, and the groups that occur at several locations.

use serde_json::{Map, Value};

use super::assembly::{Place, mounted};

/// Operations on one store.
const STORE: &str = include_str!("store.json");

/// Operations on the runs of an actor or a task.
const RUN_SOURCE: &str = include_str!("run_source.json");

/// Proxied operations on upstream resources by their id there.
const UPSTREAM_ALL: &str = include_str!("upstream_all.json");
const UPSTREAM_ONE: &str = include_str!("upstream_one.json");

/// Files of paths that occur once.
const ONCE: [(&str, &str); 5] = [
    (include_str!("stores.json"), "Stores"),
    (include_str!("sharing.json"), "Sharing"),
    (include_str!("accounts.json"), "Users and tokens"),
    (include_str!("runs.json"), "Runs"),
    (include_str!("service.json"), "Service"),
];

/// Sources of runs, with the parts of operation ids that name them.
const SOURCES: [(&str, &[&str], &str); 3] = [
    ("/v2/acts/{actorId}", &["actorId"], "Act"),
    ("/v2/actors/{actorId}", &["actorId"], "Actor"),
    ("/v2/actor-tasks/{taskId}", &["taskId"], "Task"),
];

/// Paths of a run's store, dataset and request queue.
const RUNS: [(&str, &[&str], &str); 4] = [
    ("/v2/actor-runs/{runId}", &["runId"], "OfRun"),
    ("/v2/acts/{actorId}/runs/last", &["actorId", "status", "origin"], "OfLastRunOfAct"),
    ("/v2/actors/{actorId}/runs/last", &["actorId", "status", "origin"], "OfLastRunOfActor"),
    ("/v2/actor-tasks/{taskId}/runs/last", &["taskId", "status", "origin"], "OfLastRunOfTask"),
];

/// Upstream resources of a run: the segment in the run's paths, and that of the upstream's collection.
const ELSEWHERE: [(&str, &str, &str); 2] =
    [("dataset", "datasets", "Dataset"), ("request-queue", "request-queues", "RequestQueue")];

/// Tag of all proxied operations.
const PASSED_ON: &str = "Datasets and request queues";

/// Returns every path with its operations.
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
