//! A run to test with.

use std::time::Duration;

use serde_json::{Value, json};

use super::{larder::Larder, reply::Reply, store::Store};

/// The path of all runs.
pub(crate) const RUNS: &str = "/v2/actor-runs";

/// A run that was made through the API.
pub(crate) struct Run {
    larder: Larder,
    pub(crate) id: String,
    pub(crate) store: Store,
}

impl Run {
    /// Returns the run in a response.
    pub(crate) fn of(larder: &Larder, made: &Reply) -> Self {
        let store = Store::new(larder, made.text("defaultKeyValueStoreId"));
        Self { larder: larder.clone(), id: made.text("id"), store }
    }

    /// Creates a new run with an input.
    pub(crate) async fn start(larder: &Larder, runs: &str) -> Self {
        // Runs of one millisecond have no order among themselves.
        larder.advance(Duration::from_millis(1));
        Self::of(larder, &larder.post(runs).json(&json!({ "flour": 5 })).await.answers(201))
    }

    /// Returns the path of something of the run.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("{RUNS}/{}{rest}", self.id)
    }

    /// Returns the path of an addition to the platform's API.
    pub(crate) fn own(&self, rest: &str) -> String {
        format!("/larder/v1/runs/{}/{rest}", self.id)
    }

    /// Returns the run as it is.
    pub(crate) async fn object(&self) -> Value {
        self.larder.get(self.path("")).await.answers(200).data()
    }

    /// Says how it ended.
    pub(crate) async fn finish(&self, end: Value) -> Value {
        self.larder.post(self.own("finish")).json(&end).await.answers(200).data()
    }

    /// Returns a token of the run's, and the variables that it came with.
    pub(crate) async fn enter(&self, body: Value) -> (String, Value) {
        let entered = self.larder.post(self.own("environment")).json(&body).await.answers(201).data();
        let environment = entered["environment"].clone();
        (environment["APIFY_TOKEN"].as_str().expect("a token").to_owned(), environment)
    }
}
