//! Task-local request context: request id, cost attribution, client and trace, without explicit parameters.
//!
//! A read costs one access to a task-local variable. A request without object store calls never touches the ledger.
//! Spawned tasks and streaming bodies do not inherit the context: they need [`current`] and [`with_context`].

use std::{
    cell::{Cell, RefCell},
    future::Future,
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderValue;
use tokio::task::futures::TaskLocalFuture;

use super::{
    costs::{Attribution, CostLedger, CostOwner, Costs},
    trace::{SpanData, Trace},
};

tokio::task_local! {
    static CONTEXT: RequestContext;
}

/// Context of a request. Dropping it charges the costs of the request.
#[derive(Debug)]
pub struct RequestContext {
    handle: RefCell<ContextHandle>,
    costs: Cell<Costs>,
}

/// Handle of a request context, to pass to another task.
#[derive(Debug, Clone)]
pub struct ContextHandle {
    id: HeaderValue,
    ledger: Arc<CostLedger>,
    attribution: Attribution,
    client: ClientIdentity,
    trace: Option<Box<Trace>>,
    facts: Option<Arc<RequestFacts>>,
}

/// Identity of the client of a request, for fair shares of limited resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientIdentity {
    /// Larder itself, or an unknown client.
    #[default]
    Unknown,
    /// A user, by id.
    User(CostOwner),
    /// A client without a valid token, by address; by /64 network for IPv6, since one client has many addresses there.
    Address(IpAddr),
}

impl ClientIdentity {
    /// Returns the client at `ip`.
    pub fn from_address(ip: Option<IpAddr>) -> Self {
        const NETWORK: u128 = !0 << 64;
        match ip {
            None => Self::Unknown,
            Some(IpAddr::V6(ip)) => Self::Address(Ipv6Addr::from_bits(ip.to_bits() & NETWORK).into()),
            Some(ip) => Self::Address(ip),
        }
    }
}

impl RequestContext {
    /// Returns the context of a request with that id.
    pub fn new(id: HeaderValue, ledger: Arc<CostLedger>, trace: Option<Box<Trace>>) -> Self {
        let attribution = Attribution { is_request: true, ..Attribution::default() };
        Self::from_handle(ContextHandle {
            id,
            ledger,
            attribution,
            client: ClientIdentity::Unknown,
            trace,
            facts: None,
        })
    }

    /// Returns the same context, with `facts` collecting facts for the access log.
    #[must_use]
    pub fn with_facts(mut self, facts: Option<Arc<RequestFacts>>) -> Self {
        self.handle.get_mut().facts = facts;
        self
    }

    fn from_handle(handle: ContextHandle) -> Self {
        Self { handle: RefCell::new(handle), costs: Cell::default() }
    }

    /// Runs `future` in this context.
    pub fn scope<F: Future>(self, future: Pin<&mut F>) -> TaskLocalFuture<Self, Pin<&mut F>> {
        CONTEXT.scope(self, future)
    }

    /// Ends the trace. Returns the cost attribution and the trace.
    pub fn finish(&self) -> (Attribution, Option<Box<Trace>>) {
        let mut handle = self.handle.borrow_mut();
        (handle.attribution, handle.trace.take())
    }
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        let costs = self.costs.get();
        if !costs.is_zero() {
            let ContextHandle { ledger, attribution, .. } = self.handle.get_mut();
            ledger.charge(*attribution, costs);
        }
    }
}

/// Sets the owners of the costs of the current request, as far as known.
pub fn set_cost_owner(store: Option<CostOwner>, run: Option<CostOwner>) {
    let _ = CONTEXT.try_with(|context| {
        let attribution = &mut context.handle.borrow_mut().attribution;
        attribution.store = store.or(attribution.store);
        attribution.run = run.or(attribution.run);
    });
}

/// Sets the client of the current request.
pub fn set_client(client: ClientIdentity) {
    let _ = CONTEXT.try_with(|context| context.handle.borrow_mut().client = client);
}

/// Records facts of the current request for the access log, if there is one.
pub fn record_facts(record: impl FnOnce(&RequestFacts)) {
    let _ = CONTEXT.try_with(|context| {
        if let Some(facts) = &context.handle.borrow().facts {
            record(facts);
        }
    });
}

/// Sets the name of the caller in the access log.
pub fn set_caller_name(name: &str) {
    record_facts(|facts| facts.set_caller(name));
}

/// Returns the client of the current request.
pub fn client() -> ClientIdentity {
    CONTEXT.try_with(|context| context.handle.borrow().client).unwrap_or_default()
}

/// Adds to the costs of the current request. Fails with the same costs outside of a request.
pub fn add_costs(costs: Costs) -> Result<(), Costs> {
    CONTEXT
        .try_with(|context| {
            let mut sum = context.costs.get();
            sum += costs;
            context.costs.set(sum);
        })
        .map_err(|_| costs)
}

/// Returns the cost attribution of the current request.
pub fn attribution() -> Attribution {
    CONTEXT.try_with(|context| context.handle.borrow().attribution).unwrap_or_default()
}

/// Records the span of a call for the current request, if it is traced.
pub fn record_call_span(span: impl FnOnce() -> SpanData) {
    let _ = CONTEXT.try_with(|context| {
        if let Some(trace) = &context.handle.borrow().trace {
            trace.call(span);
        }
    });
}

/// Returns the header that makes another server's spans children of the current trace, if there is one.
pub fn trace_header() -> Option<HeaderValue> {
    CONTEXT.try_with(|context| context.handle.borrow().trace.as_ref().and_then(|trace| trace.header())).ok().flatten()
}

/// Calls `read` with the id of the current request, if there is one.
pub fn with_request_id<T>(read: impl FnOnce(&str) -> T) -> Option<T> {
    CONTEXT.try_with(|context| context.handle.borrow().id.to_str().ok().map(read)).ok().flatten()
}

/// Returns a handle of the current context, for parts of the request that run in another task or later.
pub fn current() -> Option<ContextHandle> {
    CONTEXT.try_with(|context| context.handle.borrow().clone()).ok()
}

/// Runs `future` in this context, if there is one.
pub async fn with_context<F: Future>(handle: Option<ContextHandle>, future: F) -> F::Output {
    match handle {
        Some(handle) => CONTEXT.scope(RequestContext::from_handle(handle), future).await,
        None => future.await,
    }
}

/// Facts about a request that become known while it is handled, for the access log.
#[derive(Debug, Default)]
pub struct RequestFacts {
    caller: OnceLock<Box<str>>,
    object_calls: AtomicU64,
}

impl RequestFacts {
    /// Records the name of the caller; the first one counts.
    pub(super) fn set_caller(&self, name: &str) {
        let _ = self.caller.set(name.into());
    }

    /// Counts a call of the object store.
    pub(super) fn count_call(&self) {
        self.object_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back the count of a call that was not sent.
    pub(super) fn uncount_call(&self) {
        self.object_calls.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the name of the caller, if it became known.
    pub fn caller(&self) -> Option<&str> {
        self.caller.get().map(AsRef::as_ref)
    }

    /// Returns the number of calls of the object store.
    pub fn object_calls(&self) -> u64 {
        self.object_calls.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::telemetry::costs::CallClass;

    fn context(ledger: &Arc<CostLedger>) -> RequestContext {
        RequestContext::new(HeaderValue::from_static("a-1"), Arc::clone(ledger), None)
    }

    #[tokio::test]
    async fn costs_before_their_owner_is_known_are_charged_to_the_owner() {
        let ledger = Arc::new(CostLedger::default());
        let store = CostOwner::from_name("store").expect("a name");
        let mut done = pin!(async {
            assert_eq!(with_request_id(str::to_owned).as_deref(), Some("a-1"));
            add_costs(Costs::for_call(CallClass::B)).expect("there is a context");
            tokio::task::yield_now().await;
            set_cost_owner(Some(store), None);
            add_costs(Costs::for_call(CallClass::A)).expect("there is a context");
            let carried = with_context(current(), async { add_costs(Costs::for_call(CallClass::Free)) });
            carried.await.expect("there is a context");
        });
        context(&ledger).scope(done.as_mut()).await;
        assert_eq!(ledger.store(store).costs, Costs { class_a: 1, class_b: 1, free: 1, ..Costs::default() });
        assert_eq!(ledger.totals().without_store, Costs::default());
        assert_eq!(add_costs(Costs::for_call(CallClass::A)), Err(Costs::for_call(CallClass::A)));
        assert_eq!(with_request_id(str::to_owned), None);
    }

    #[tokio::test]
    async fn costs_of_a_cancelled_request_are_charged() {
        let ledger = Arc::new(CostLedger::default());
        {
            let mut begun = pin!(async {
                add_costs(Costs::for_call(CallClass::A)).expect("there is a context");
                std::future::pending::<()>().await;
            });
            let mut running = pin!(context(&ledger).scope(begun.as_mut()));
            assert!(futures_util::poll!(running.as_mut()).is_pending());
            assert!(add_costs(Costs::default()).is_err(), "there is no context between two polls");
        }
        assert_eq!(ledger.totals().without_store, Costs::for_call(CallClass::A));
    }
}
