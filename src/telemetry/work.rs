//! For whom something is done: known to whatever is called meanwhile, without being handed down to it.
//!
//! The work for a request has a name (the request's id, which stands in every line of the log), somebody who pays for it, and
//! perhaps a trace. Code that only reads it costs a look at a variable of its task; work without a call of the object store ends
//! without having touched the ledger.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::Arc,
};

use http::HeaderValue;
use tokio::task::futures::TaskLocalFuture;

use super::{
    costs::Costs,
    ledger::{Ledger, Party, Payers},
    observed::Observed,
    trace::{Seen, Trace},
};

tokio::task_local! {
    static WORK: Work;
}

/// Something that is done for somebody. What it costs is charged when it is over.
#[derive(Debug)]
pub struct Work {
    commission: RefCell<Commission>,
    costs: Cell<Costs>,
}

/// What is known of some work, to be carried over into another task.
#[derive(Debug, Clone)]
pub struct Commission {
    id: HeaderValue,
    ledger: Arc<Ledger>,
    payers: Payers,
    called_by: CalledBy,
    trace: Option<Box<Trace>>,
    observed: Option<Arc<Observed>>,
}

/// Who called for some work: what it holds is of this caller's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CalledBy {
    /// Larder itself, or a caller that is not known.
    #[default]
    Unknown,
    /// A user, by id.
    User(Party),
    /// A caller without a valid token, by address; by network for IPv6, of which one client has many addresses.
    Address(IpAddr),
}

impl CalledBy {
    /// A caller at `ip`.
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
    /// The work for the request with that id.
    pub fn new(id: HeaderValue, ledger: Arc<Ledger>, trace: Option<Box<Trace>>) -> Self {
        let payers = Payers { is_request: true, ..Payers::default() };
        Self::of(Commission { id, ledger, payers, called_by: CalledBy::Unknown, trace, observed: None })
    }

    /// Returns the same work, of which `observed` is told what the access log says of it.
    #[must_use]
    pub fn observed_by(mut self, observed: Option<Arc<Observed>>) -> Self {
        self.commission.get_mut().observed = observed;
        self
    }

    fn of(commission: Commission) -> Self {
        Self { commission: RefCell::new(commission), costs: Cell::default() }
    }

    /// Does it: it is known while `future` is polled.
    pub fn around<F: Future>(self, future: Pin<&mut F>) -> TaskLocalFuture<Self, Pin<&mut F>> {
        WORK.scope(self, future)
    }

    /// For whom it was done, and its trace.
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

/// Who pays for the work under way, as far as that has been found out.
pub fn charge_to(store: Option<Party>, run: Option<Party>) {
    let _ = WORK.try_with(|work| {
        let payers = &mut work.commission.borrow_mut().payers;
        payers.store = store.or(payers.store);
        payers.run = run.or(payers.run);
    });
}

/// Notes who called for the work under way.
pub fn is_called_by(caller: CalledBy) {
    let _ = WORK.try_with(|work| work.commission.borrow_mut().called_by = caller);
}

/// Tells the access log of the work under way, if there is one.
pub fn observe(tell: impl FnOnce(&Observed)) {
    let _ = WORK.try_with(|work| {
        if let Some(observed) = &work.commission.borrow().observed {
            tell(observed);
        }
    });
}

/// Names the caller of the work under way in the access log.
pub fn name_caller(name: &str) {
    observe(|observed| observed.set_caller(name));
}

/// Who called for the work under way.
pub fn called_by() -> CalledBy {
    WORK.try_with(|work| work.commission.borrow().called_by).unwrap_or_default()
}

/// Adds to the costs of the work under way; gives them back if there is none.
pub fn add(costs: Costs) -> Result<(), Costs> {
    WORK.try_with(|work| {
        let mut sum = work.costs.get();
        sum += costs;
        work.costs.set(sum);
    })
    .map_err(|_| costs)
}

/// Who pays for the work under way.
pub fn payers() -> Payers {
    WORK.try_with(|work| work.commission.borrow().payers).unwrap_or_default()
}

/// A call was made for the work under way, if that is traced.
pub fn call_seen(seen: impl FnOnce() -> Seen) {
    let _ = WORK.try_with(|work| {
        if let Some(trace) = &work.commission.borrow().trace {
            trace.call(seen);
        }
    });
}

/// The header by which another server's spans become parts of the trace under way, if there is one.
pub fn trace_header() -> Option<HeaderValue> {
    WORK.try_with(|work| work.commission.borrow().trace.as_ref().and_then(|trace| trace.header())).ok().flatten()
}

/// Shows the id of the work under way to `look`, if there is any.
pub fn look_at_id<T>(look: impl FnOnce(&str) -> T) -> Option<T> {
    WORK.try_with(|work| work.commission.borrow().id.to_str().ok().map(look)).ok().flatten()
}

/// What is known of the work under way, for what will be done of it elsewhere or later.
pub fn commission() -> Option<Commission> {
    WORK.try_with(|work| work.commission.borrow().clone()).ok()
}

/// Does `future` as work that was commissioned, if it was.
pub async fn carry_out<F: Future>(commission: Option<Commission>, future: F) -> F::Output {
    match commission {
        Some(commission) => WORK.scope(Work::of(commission), future).await,
        None => future.await,
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
    async fn what_is_done_before_it_is_known_who_pays_is_charged_to_him() {
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
