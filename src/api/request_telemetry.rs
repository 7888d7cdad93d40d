//! Telemetry of requests: names of operations, metrics, cost attribution and traces.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Response, StatusCode, header, request::Parts};

use crate::{
    clock::Clock,
    kv::{RunId, StoreSnapshot},
    telemetry::{
        CostLedger, CostOwner, DurationHistogram, MetricKind, Metrics, RequestFacts, Sample,
        request_context::{self, RequestContext},
        trace::{SpanData, TRACEPARENT, Tracer, Value},
    },
};

use super::{
    message::response::ResponseBody,
    routing::{
        route::{AccountCall, Endpoint},
        routes::{RunCall, RunsCall, StoreCall},
    },
};

/// Observer of requests.
#[derive(Debug)]
pub struct RequestTelemetry {
    ledger: Arc<CostLedger>,
    tracer: Option<Arc<Tracer>>,
    clock: Arc<dyn Clock>,
}

impl RequestTelemetry {
    /// Returns an observer that attributes requests in `ledger`, and traces them if there is a tracer.
    pub fn new(ledger: Arc<CostLedger>, tracer: Option<Arc<Tracer>>, clock: Arc<dyn Clock>) -> Self {
        Self { ledger, tracer, clock }
    }

    /// Returns the context of a request.
    pub fn begin(&self, id: &HeaderValue, Parts { headers, extensions, .. }: &Parts) -> RequestContext {
        let trace = self.tracer.as_ref().and_then(|tracer| {
            let times = || {
                let millis = u64::try_from(self.clock.now().as_millis()).unwrap_or_default();
                (Duration::from_millis(millis), self.clock.monotonic())
            };
            tracer.begin(headers.get(TRACEPARENT), times).map(Box::new)
        });
        let facts = extensions.get::<Arc<RequestFacts>>().cloned();
        RequestContext::new(id.clone(), Arc::clone(&self.ledger), trace).with_facts(facts)
    }
}

/// Finishes the context, and records its span if it is traced.
pub fn finish(
    request: Option<&RequestContext>,
    (head, id, operation): (&Parts, &HeaderValue, Operation),
    response: &Response<ResponseBody>,
    (began, ended): (Duration, Duration),
) {
    let Some((attribution, Some(trace))) = request.map(RequestContext::finish) else { return };
    let text = |value: &HeaderValue| Value::from(value.to_str().unwrap_or_default());
    let mut attributes = vec![
        ("larder.request_id", text(id)),
        ("http.request.method", Value::from(head.method.as_str())),
        ("http.response.status_code", u64::from(response.status().as_u16()).into()),
    ];
    let sent = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let sizes = [("http.request.body.size", sent), ("http.response.body.size", response.body().known_length())];
    attributes.extend(sizes.into_iter().filter_map(|(name, size)| Some((name, size?.into()))));
    let owners = [("larder.store", attribution.store), ("larder.run", attribution.run)];
    attributes.extend(owners.into_iter().filter_map(|(name, owner)| Some((name, owner?.name().into()))));
    let has_failed = response.status().is_server_error();
    trace.request(SpanData { name: operation.name(), began, ended, attributes, has_failed });
}

/// Attributes the current request to a store, and to the run that created the store.
pub fn set_store(store: &StoreSnapshot) {
    let run = store.document.act_run_id.as_deref().and_then(CostOwner::from_name);
    request_context::set_cost_owner(CostOwner::from_name(store.document.id.as_str()), run);
}

/// Attributes the current request to a run.
pub fn set_run(run: &RunId) {
    request_context::set_cost_owner(None, CostOwner::from_name(run.as_str()));
}

/// Statuses that are counted separately; all others are counted together.
const STATUSES: [u16; 26] = [
    200, 201, 204, 206, 304, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 415, 416, 429, 500, 502,
    503, 507, 508,
];

const OPERATIONS: usize = Operation::NAMES.len();

/// Counter of requests.
#[derive(Debug)]
pub struct RequestMetrics {
    counted: Arc<[OperationCounts; OPERATIONS]>,
    durations: [DurationHistogram; OPERATIONS],
}

/// Requests of one operation, by status.
#[derive(Debug, Default)]
struct OperationCounts {
    known: [AtomicU64; STATUSES.len()],
    other: AtomicU64,
}

impl RequestMetrics {
    /// Returns a new counter, registered with `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        let counted: Arc<[OperationCounts; OPERATIONS]> = Arc::new(std::array::from_fn(|_| OperationCounts::default()));
        let shown = Arc::clone(&counted);
        let help = "Total number of API requests, by operation and status.";
        metrics.register("larder_requests_total", help, MetricKind::Counter, move || samples(&shown));
        let help = "Time from the head of a request to the first byte of its response in seconds, by operation.";
        let durations =
            metrics.register_histograms("larder_request_duration_seconds", help, "operation", Operation::NAMES);
        Self { counted, durations }
    }

    /// Counts a completed request.
    pub fn count(&self, operation: Operation, status: StatusCode, took: Duration) {
        let OperationCounts { known, other } = &self.counted[operation as usize];
        let at = STATUSES.iter().position(|known| *known == status.as_u16());
        at.map_or(other, |at| &known[at]).fetch_add(1, Ordering::Relaxed);
        self.durations[operation as usize].observe(took);
    }
}

/// Returns the nonzero counts.
fn samples(counted: &[OperationCounts; OPERATIONS]) -> Vec<Sample> {
    let of_operation = |(name, meter): (&&'static str, &OperationCounts)| {
        let known = STATUSES.iter().zip(&meter.known).map(|(status, count)| (status.to_string(), count));
        let all = known.chain([("other".to_owned(), &meter.other)]);
        let counts = all.map(|(status, count)| (status, count.load(Ordering::Relaxed))).filter(|(_, count)| *count > 0);
        let sample = |(status, count): (String, u64)| {
            Sample::with_labels([("operation", name), ("status", status.as_str())], count)
        };
        counts.map(sample).collect::<Vec<_>>()
    };
    Operation::NAMES.iter().zip(counted).flat_map(of_operation).collect()
}

/// Declares the operations with their names, and the list of all.
macro_rules! operations {
    ($($operation:ident = $name:literal,)*) => {
        /// Operation of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operation {
            $($operation,)*
        }

        impl Operation {
            /// Names of all operations, in the order of their numbers.
            pub const NAMES: [&str; [$($name),*].len()] = [$($name),*];

            /// Returns its name.
            pub fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

operations! {
    ListStores = "list_stores",
    CreateStore = "create_store",
    GetStore = "get_store",
    UpdateStore = "update_store",
    DeleteStore = "delete_store",
    ListKeys = "list_keys",
    DownloadRecords = "download_records",
    GetRecord = "get_record",
    HeadRecord = "head_record",
    PutRecord = "put_record",
    DeleteRecord = "delete_record",
    ShareStore = "share_store",
    MakeViewLink = "make_view_link",
    RotateSigningKey = "rotate_signing_key",
    ReadAccount = "read_account",
    ManageTokens = "manage_tokens",
    ManageUsers = "manage_users",
    ManageClock = "manage_clock",
    ListRuns = "list_runs",
    StartRun = "start_run",
    GetRun = "get_run",
    ChangeRun = "change_run",
    Upstream = "upstream",
    LeaderRpc = "leader_rpc",
    ReadUsage = "read_usage",
    ReadMetrics = "read_metrics",
    ReadDescription = "read_description",
    Preflight = "preflight",
    Unknown = "unknown",
}

impl Operation {
    /// Returns whether it concerns one record.
    pub fn is_on_record(self) -> bool {
        matches!(self, Self::GetRecord | Self::HeadRecord | Self::PutRecord | Self::DeleteRecord)
    }
}

impl From<&Endpoint> for Operation {
    fn from(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::ListStores => Self::ListStores,
            Endpoint::CreateStore => Self::CreateStore,
            Endpoint::Store(_, call) | Endpoint::Runs(RunsCall::Store(_, call)) => call.into(),
            Endpoint::CurrentUser
            | Endpoint::Limits
            | Endpoint::MonthlyUsage
            | Endpoint::Session
            | Endpoint::User(_) => Self::ReadAccount,
            Endpoint::MergeUsage | Endpoint::ExtendExpiry => Self::LeaderRpc,
            Endpoint::Account(call) => match call {
                AccountCall::ListUsers
                | AccountCall::CreateUser
                | AccountCall::GetUser(_)
                | AccountCall::UpdateUser(_) => Self::ManageUsers,
                AccountCall::ListTokens
                | AccountCall::CreateToken
                | AccountCall::RevokeToken(_)
                | AccountCall::ReplaceToken(_) => Self::ManageTokens,
                AccountCall::GetClock | AccountCall::AcceptClock => Self::ManageClock,
            },
            Endpoint::Runs(RunsCall::ListRuns(_)) => Self::ListRuns,
            Endpoint::Runs(RunsCall::StartRun(_)) => Self::StartRun,
            Endpoint::Runs(RunsCall::Run(_, call)) => match call {
                RunCall::GetRun | RunCall::GetLog => Self::GetRun,
                RunCall::GetUsage => Self::ReadUsage,
                RunCall::UpdateRun
                | RunCall::Abort
                | RunCall::Metamorph
                | RunCall::Restart
                | RunCall::Charge
                | RunCall::Finish
                | RunCall::Heartbeat
                | RunCall::CreateEnvironment => Self::ChangeRun,
            },
            Endpoint::Proxied(_) => Self::Upstream,
            Endpoint::Usage => Self::ReadUsage,
            Endpoint::Metrics => Self::ReadMetrics,
            Endpoint::Description => Self::ReadDescription,
        }
    }
}

impl From<&StoreCall> for Operation {
    fn from(call: &StoreCall) -> Self {
        match call {
            StoreCall::Get => Self::GetStore,
            StoreCall::Update => Self::UpdateStore,
            StoreCall::Delete => Self::DeleteStore,
            StoreCall::ListKeys => Self::ListKeys,
            StoreCall::DownloadRecords => Self::DownloadRecords,
            StoreCall::GetRecord(_) => Self::GetRecord,
            StoreCall::HeadRecord(_) => Self::HeadRecord,
            StoreCall::PutRecord(_) | StoreCall::DirectUploadUrl(_) => Self::PutRecord,
            StoreCall::DeleteRecord(_) => Self::DeleteRecord,
            StoreCall::MakeViewLink => Self::MakeViewLink,
            StoreCall::GetUsage => Self::ReadUsage,
            StoreCall::GetAccess | StoreCall::Share(_) | StoreCall::Unshare(_) => Self::ShareStore,
            StoreCall::RotateSigningKey => Self::RotateSigningKey,
        }
    }
}
