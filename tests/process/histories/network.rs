//! Gateways before a bucket, each behind a proxy of its own that fails as networks do.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::runtime::Runtime;

use crate::{
    bucket::{before_bucket, own_prefix, variable},
    crash_recovery::Choices,
    program::{Program, TOKEN, pause},
    proxy::{Ending, Fault, Pace, Place, Proxy, Refusal, Request, Times},
};

use super::{Serve, chaos::Network, make_history, records::Conditions};

/// Timeout of a gateway for responses of its object store here: short, so that many calls can go wrong.
const ANSWER_TIMEOUT: &str = "2s";

/// Staleness bound: the time for which a gateway may not know of another's change.
const STALENESS: Duration = Duration::from_secs(5);

/// Maximum duration of an outage.
const LONGEST_OUTAGE: u64 = 800;

/// Requests that meet with the same fault, at most.
const MOST_AT_ONCE: u64 = 20;

/// The proxies, and the threads that they run on.
struct Wires {
    runtime: Runtime,
    proxies: Vec<Arc<Proxy>>,
    /// `true` once nothing goes wrong any more.
    is_calm: Arc<AtomicBool>,
}

/// Makes a history on so many gateways: equal ones, or a leader and its followers.
pub fn make_history_over_a_bucket(gateways: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("the system has threads");
    let endpoint = variable("LARDER_TEST_S3_ENDPOINT");
    let start = |_| Arc::new(runtime.block_on(Proxy::before(&endpoint)));
    let network = Wires { proxies: (0..gateways).map(start).collect(), runtime, is_calm: Arc::default() };
    let prefix = own_prefix("histories");
    let leader = format!("http://127.0.0.1:{}", free_port());
    let serve = |(index, proxy): (usize, &Arc<Proxy>)| -> Serve {
        let (place, prefix, leader) = (folder.path().to_owned(), prefix.clone(), leader.clone());
        let endpoint = proxy.endpoint();
        Box::new(move || {
            let mut command: Command = before_bucket(&place, &prefix);
            command.env("LARDER_S3_ENDPOINT", &endpoint).env("LARDER_S3_RESPONSE_TIMEOUT", ANSWER_TIMEOUT);
            command.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", "shared by all").env("LARDER_LEADER", &leader);
            if index == 0 {
                command.env("LARDER_LEADER", "self").env("LARDER_LISTEN", leader.trim_start_matches("http://"));
            }
            command
        })
    };
    // The capabilities of the object store are detected by a gateway with the usual timeouts.
    let mut first = before_bucket(folder.path(), &prefix);
    first.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", "shared by all").env("LARDER_LEADER", "self");
    let first = Program::start(first).stop();
    assert!(first.status.success(), "{}", first.stderr);
    let has_leader = first.stderr.contains("conditional_writes=false");
    let conditions = if has_leader && gateways > 1 { Conditions::Apart } else { Conditions::Mixed };
    let commands = network.proxies.iter().enumerate().map(serve).collect();
    let staleness = if gateways == 1 { Duration::ZERO } else { STALENESS };
    make_history("bucket", commands, &network, staleness, conditions);
}

/// Returns a port on which no server listens now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    listener.local_addr().expect("it is bound").port()
}

impl Network for Wires {
    fn disturb(&self, choices: &mut Choices) {
        let index = usize::try_from(choices.below(self.proxies.len() as u64)).expect("a small number");
        let proxy = &self.proxies[index];
        let moment = Duration::from_millis(50 + choices.below(LONGEST_OUTAGE));
        match choices.below(8) {
            0 => drop(self.runtime.block_on(proxy.end_connections())),
            1 => {
                self.runtime.block_on(proxy.refuse_connections());
                pause(moment);
                let _in_the_runtime = self.runtime.enter();
                self.runtime.block_on(proxy.accept_connections());
            }
            _ => {
                let fault = fault(choices, moment);
                let (times, skip) = (1 + choices.below(MOST_AT_ONCE), choices.below(3));
                let is_calm = Arc::clone(&self.is_calm);
                let is_meant = move |request: &Request| !is_calm.load(Relaxed) && request.path.len() as u64 % 3 != skip;
                let _armed = proxy.arm(fault, Times::Next(times), is_meant);
            }
        }
    }

    fn calm(&self) {
        self.is_calm.store(true, Relaxed);
    }
}

fn fault(choices: &mut Choices, moment: Duration) -> Fault {
    let ending = if choices.below(2) == 0 { Ending::Close } else { Ending::Reset };
    match choices.below(10) {
        0 => Fault::DelayRequest(moment * 3),
        1 => Fault::DelayAnswer(moment * 3),
        2 => Fault::CutRequest(Place::Head(choices.below(300)), ending),
        3 => Fault::CutRequest(Place::Body(choices.below(6000)), ending),
        4 => Fault::CutAnswer(Place::Head(choices.below(300)), ending),
        5 => Fault::CutAnswer(Place::Body(choices.below(6000)), ending),
        6 => Fault::LoseResponse(ending),
        7 => Fault::Refuse(refusal(choices)),
        8 => Fault::TrickleAnswer(Pace { bytes: 100, every: Duration::from_millis(20) }),
        _ => Fault::NeverAnswer,
    }
}

fn refusal(choices: &mut Choices) -> Refusal {
    match choices.below(4) {
        0 => Refusal::slow_down(),
        1 => Refusal::internal_error(),
        2 => Refusal::gateway_says_unavailable(),
        _ => Refusal::too_many_requests().with_retry_after(1),
    }
}
