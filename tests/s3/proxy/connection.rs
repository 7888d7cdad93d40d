//! One connection from the gateway, with its own to the object store.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    select,
    sync::Notify,
    time::timeout,
};

use super::exchange::{After, Wires, exchange};
use super::faults::{Ending, Log, Plan, Request};
use super::forward::drain;
use super::framing::Head;

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Timeout for a gateway that still sends after a response that ends the connection.
const LINGER: Duration = Duration::from_secs(5);

/// A connection as the proxy holds it in its hand.
#[derive(Default)]
pub(crate) struct Line {
    state: Mutex<State>,
    told: Notify,
}

#[derive(Default, Clone, Copy)]
enum State {
    /// Between requests.
    #[default]
    Idle,
    /// In a request.
    Busy,
    /// Told to end.
    Told(Ending),
}

impl Line {
    /// Ends the connection if it is between requests. Returns `true` if it is.
    pub(crate) fn end_if_idle(&self, ending: Ending) -> bool {
        self.change(|state| match state {
            State::Idle => {
                *state = State::Told(ending);
                self.told.notify_one();
                true
            }
            State::Busy | State::Told(_) => false,
        })
    }

    /// Enters the next request, unless told to end before.
    fn begin(&self) -> Result<(), Ending> {
        self.change(|state| match *state {
            State::Idle | State::Busy => {
                *state = State::Busy;
                Ok(())
            }
            State::Told(ending) => Err(ending),
        })
    }

    fn rest(&self) {
        self.change(|state| *state = State::Idle);
    }

    fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Carries requests until the connection ends.
pub(crate) async fn serve(mut gateway: TcpStream, store: &str, number: u64, line: &Line, log: &Log, plan: &Plan) {
    // Without an object store behind the proxy, the connection ends without a response.
    let Ok(mut store) = TcpStream::connect(store).await else { return };
    if gateway.set_nodelay(true).is_err() || store.set_nodelay(true).is_err() {
        return;
    }
    if carry(&mut gateway, &mut store, number, line, log, plan).await == Ending::Reset {
        // Closed without lingering, a socket says goodbye with a reset.
        let _ = gateway.set_zero_linger();
    }
}

async fn carry(
    gateway: &mut TcpStream,
    store: &mut TcpStream,
    number: u64,
    line: &Line,
    log: &Log,
    plan: &Plan,
) -> Ending {
    let (from_gateway, to_gateway) = gateway.split();
    let (from_store, to_store) = store.split();
    let mut wires = Wires {
        from_gateway: BufReader::with_capacity(BUFFER_BYTES, from_gateway),
        to_gateway,
        from_store: BufReader::with_capacity(BUFFER_BYTES, from_store),
        to_store,
    };
    loop {
        select! {
            biased;
            () = line.told.notified() => {}
            bytes = wires.from_gateway.fill_buf() => if !matches!(bytes, Ok([_, ..])) { return Ending::Close },
            // The object store has nothing to say now, unless that it ends the connection.
            _ = wires.from_store.fill_buf() => return Ending::Close,
        }
        if let Err(ending) = line.begin() {
            return ending;
        }
        let Ok(Some(head)) = Head::read(&mut wires.from_gateway).await else { return Ending::Close };
        let request = Request::of(&head, number);
        let fault = plan.fault_for(&request);
        log.add(request);
        match exchange(&mut wires, &head, fault).await {
            After::Next => line.rest(),
            After::End(ending) => return ending,
            After::Linger => {
                let _ = wires.to_gateway.shutdown().await;
                let _ = timeout(LINGER, drain(&mut wires.from_gateway)).await;
                return Ending::Close;
            }
        }
    }
}
