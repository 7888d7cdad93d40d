//! Task-local request context: request id, cost attribution and trace, without explicit parameters.
//!
//! Reading it costs one access to a task-local variable; a request without object store calls never touches the
//! ledger.

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
    costs::Costs,
    ledger::{Ledger, Party, Payers},
    trace::{Seen, Trace},
};

tokio::task_local! {
    static WORK: Work;
}

/// A unit of work. Its costs are charged when it is over.
#[derive(Debug)]
pub struct Work {
    commission: RefCell<Commission>,
    costs: Cell<Costs>,
}

/// Context of a unit of work, to pass to another task.
#[derive(Debug, Clone)]
pub struct Commission {
    id: HeaderValue,
    ledger: Arc<Ledger>,
    payers: Payers,
    called_by: CalledBy,
    trace: Option<Box<Trace>>,
    observed: Option<Arc<Observed>>,
}

/// Caller of a unit of work, for fair shares of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CalledBy {
    /// Larder itself, or an unknown caller.
    #[default]
    Unknown,
    /// A user, by id.
    User(Party),
    /// A caller without a valid token, by address; by network for IPv6, since one client has many addresses there.
    Address(IpAddr),
}

impl CalledBy {
    /// Returns a caller at `ip`.
    pub fn address(ip: Option<IpAddr>) -> Self {
        const NETWORK: u128 = !0 << 64;
        match ip {
            None => Self::Unknown,
            Some(IpAddr::V6(ip)) => Self::Address(Ipv6Addr::from_bits(ip.to_bits() & NETWORK).into()),
            Some(ip) => Self::Address(ip),
        }
    }
}

impl Work {
    /// Returns the work for the request with that id.
    pub fn new(id: HeaderValue, ledger: Arc<Ledger>, trace: Option<Box<Trace>>) -> Self {
        let payers = Payers { is_request: true, ..Payers::default() };
        Self::of(Commission { id, ledger, payers, called_by: CalledBy::Unknown, trace, observed: None })
    }

    /// Returns the same work, with `observed` collecting facts for the access log.
    #[must_use]
    pub fn observed_by(mut self, observed: Option<Arc<Observed>>) -> Self {
        self.commission.get_mut().observed = observed;
        self
    }

    fn of(commission: Commission) -> Self {
        Self { commission: RefCell::new(commission), costs: Cell::default() }
    }

    /// Runs `future` with this work as the current one.
    pub fn around<F: Future>(self, future: Pin<&mut F>) -> TaskLocalFuture<Self, Pin<&mut F>> {
        WORK.scope(self, future)
    }

    /// Returns its cost attribution and its trace.
    pub fn seen(&self) -> (Payers, Option<Box<Trace>>) {
        let mut commission = self.commission.borrow_mut();
        (commission.payers, commission.trace.take())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let costs = self.costs.get();
        if !costs.is_nothing() {
            let Commission { ledger, payers, .. } = self.commission.get_mut();
            ledger.charge(*payers, costs);
        }
    }
}

/// Sets the cost attribution of the current work, as far as known.
pub fn charge_to(store: Option<Party>, run: Option<Party>) {
    let _ = WORK.try_with(|work| {
        let payers = &mut work.commission.borrow_mut().payers;
        payers.store = store.or(payers.store);
        payers.run = run.or(payers.run);
    });
}

/// Sets the caller of the current work.
pub fn is_called_by(caller: CalledBy) {
    let _ = WORK.try_with(|work| work.commission.borrow_mut().called_by = caller);
}

/// Records facts of the current work for the access log, if there is one.
pub fn observe(tell: impl FnOnce(&Observed)) {
    let _ = WORK.try_with(|work| {
        if let Some(observed) = &work.commission.borrow().observed {
            tell(observed);
        }
    });
}

/// Sets the caller of the current work in the access log.
pub fn name_caller(name: &str) {
    observe(|observed| observed.set_caller(name));
}

/// Returns the caller of the current work.
pub fn called_by() -> CalledBy {
    WORK.try_with(|work| work.commission.borrow().called_by).unwrap_or_default()
}

/// Adds to the costs of the current work; returns them if there is none.
pub fn add(costs: Costs) -> Result<(), Costs> {
    WORK.try_with(|work| {
        let mut sum = work.costs.get();
        sum += costs;
        work.costs.set(sum);
    })
    .map_err(|_| costs)
}

/// Returns the cost attribution of the current work.
pub fn payers() -> Payers {
    WORK.try_with(|work| work.commission.borrow().payers).unwrap_or_default()
}

/// Records the span of a call for the current work, if it is traced.
pub fn call_seen(seen: impl FnOnce() -> Seen) {
    let _ = WORK.try_with(|work| {
        if let Some(trace) = &work.commission.borrow().trace {
            trace.call(seen);
        }
    });
}

/// Returns the header that makes another server's spans children of the current trace, if there is one.
pub fn trace_header() -> Option<HeaderValue> {
    WORK.try_with(|work| work.commission.borrow().trace.as_ref().and_then(|trace| trace.header())).ok().flatten()
}

/// Passes the id of the current work to `look`, if there is any.
pub fn look_at_id<T>(look: impl FnOnce(&str) -> T) -> Option<T> {
    WORK.try_with(|work| work.commission.borrow().id.to_str().ok().map(look)).ok().flatten()
}

/// Returns the context of the current work, for parts of it that run elsewhere or later.
pub fn commission() -> Option<Commission> {
    WORK.try_with(|work| work.commission.borrow().clone()).ok()
}

/// Runs `future` in this context, if there is one.
pub async fn carry_out<F: Future>(commission: Option<Commission>, future: F) -> F::Output {
    match commission {
        Some(commission) => WORK.scope(Work::of(commission), future).await,
        None => future.await,
    }
}

/// Facts about a request that become known while it is handled.
#[derive(Debug, Default)]
pub struct Observed {
    caller: OnceLock<Box<str>>,
    object_calls: AtomicU64,
}

impl Observed {
    /// Records the name of the caller; the first one counts.
    pub(super) fn set_caller(&self, name: &str) {
        let _ = self.caller.set(name.into());
    }

    /// Counts a call of the object store.
    pub(super) fn count_call(&self) {
        self.object_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Discounts a call that was not made after all.
    pub(super) fn discount_call(&self) {
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

    fn work(ledger: &Arc<Ledger>) -> Work {
        Work::new(HeaderValue::from_static("a-1"), Arc::clone(ledger), None)
    }

    #[tokio::test]
    async fn costs_before_the_owner_is_known_are_charged_to_the_owner() {
        let ledger = Arc::new(Ledger::default());
        let store = Party::named("store").expect("a name");
        let mut done = pin!(async {
            assert_eq!(look_at_id(str::to_owned).as_deref(), Some("a-1"));
            add(Costs::call(CallClass::B)).expect("there is work");
            tokio::task::yield_now().await;
            charge_to(Some(store), None);
            add(Costs::call(CallClass::A)).expect("there is work");
            let carried = carry_out(commission(), async { add(Costs::call(CallClass::Free)) });
            carried.await.expect("there is work");
        });
        work(&ledger).around(done.as_mut()).await;
        assert_eq!(ledger.store(store).costs, Costs { class_a: 1, class_b: 1, free: 1, ..Costs::default() });
        assert_eq!(ledger.totals().without_store, Costs::default());
        assert_eq!(add(Costs::call(CallClass::A)), Err(Costs::call(CallClass::A)));
        assert_eq!(look_at_id(str::to_owned), None);
    }

    #[tokio::test]
    async fn what_was_given_up_is_charged_all_the_same() {
        let ledger = Arc::new(Ledger::default());
        {
            let mut begun = pin!(async {
                add(Costs::call(CallClass::A)).expect("there is work");
                std::future::pending::<()>().await;
            });
            let mut work = pin!(work(&ledger).around(begun.as_mut()));
            assert!(futures_util::poll!(work.as_mut()).is_pending());
            assert!(add(Costs::default()).is_err(), "nothing is under way between two polls");
        }
        assert_eq!(ledger.totals().without_store, Costs::call(CallClass::A));
    }
}
