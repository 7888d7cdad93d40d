//! Cost attribution and tracing of requests.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Response, header, request::Parts};

use crate::{
    clock::Clock,
    kv::{RunId, StoreView},
    telemetry::{
        Ledger, Observed, Party,
        trace::{Seen, TRACEPARENT, Tracer, Value},
        work::{self, Work},
    },
};

use super::{operation::Operation, reply_body::ReplyBody};

/// Observer of requests.
#[derive(Debug)]
pub struct Watch {
    ledger: Arc<Ledger>,
    tracer: Option<Arc<Tracer>>,
    clock: Arc<dyn Clock>,
}

impl Watch {
    /// Returns an observer that attributes requests in `ledger`, and traces them if there is a tracer.
    pub fn new(ledger: Arc<Ledger>, tracer: Option<Arc<Tracer>>, clock: Arc<dyn Clock>) -> Self {
        Self { ledger, tracer, clock }
    }

    /// Returns the context of a request.
    pub fn begin(&self, id: &HeaderValue, Parts { headers, extensions, .. }: &Parts) -> Work {
        let trace = self.tracer.as_ref().and_then(|tracer| {
            let times = || {
                let millis = u64::try_from(self.clock.now().as_millis()).unwrap_or_default();
                (Duration::from_millis(millis), self.clock.monotonic())
            };
            tracer.begin(headers.get(TRACEPARENT), times).map(Box::new)
        });
        let observed = extensions.get::<Arc<Observed>>().cloned();
        Work::new(id.clone(), Arc::clone(&self.ledger), trace).observed_by(observed)
    }
}

/// Finishes the context, and records its span if it is traced.
pub fn is_done(
    work: Option<&Work>,
    (head, id, operation): (&Parts, &HeaderValue, Operation),
    response: &Response<ReplyBody>,
    (began, ended): (Duration, Duration),
) {
    let Some((payers, Some(trace))) = work.map(Work::seen) else { return };
    let text = |value: &HeaderValue| Value::from(value.to_str().unwrap_or_default());
    let mut attributes = vec![
        ("larder.request_id", text(id)),
        ("http.request.method", Value::from(head.method.as_str())),
        ("http.response.status_code", u64::from(response.status().as_u16()).into()),
    ];
    let sent = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let sizes = [("http.request.body.size", sent), ("http.response.body.size", response.body().known_length())];
    attributes.extend(sizes.into_iter().filter_map(|(name, size)| Some((name, size?.into()))));
    let parties = [("larder.store", payers.store), ("larder.run", payers.run)];
    attributes.extend(parties.into_iter().filter_map(|(name, party)| Some((name, party?.name().into()))));
    let has_failed = response.status().is_server_error();
    trace.request(Seen { name: operation.name(), began, ended, attributes, has_failed });
}

/// Attributes the current request to a store, and to the run that created the store.
pub fn is_about_store(store: &StoreView) {
    let run = store.document.act_run_id.as_deref().and_then(Party::named);
    work::charge_to(Party::named(store.document.id.as_str()), run);
}

/// Attributes the current request to a run.
pub fn is_about_run(run: &RunId) {
    work::charge_to(None, Party::named(run.as_str()));
}
