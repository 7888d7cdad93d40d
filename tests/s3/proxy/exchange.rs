//! One request and its answer, and the fault between them.

use std::{
    future::pending,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, sink},
    select,
    time::sleep,
};

use super::faults::{Ending, Fault, Refusal};
use super::forward::{Course, Passed, drain, forward};
use super::framing::{Framing, Head};

/// The four directions of a connection through the proxy.
pub(crate) struct Wires<R, W, S, T> {
    pub(crate) from_gateway: R,
    pub(crate) to_gateway: W,
    pub(crate) from_store: S,
    pub(crate) to_store: T,
}

/// Next state of the connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It can carry another.
    Next,
    /// It ends.
    End(Ending),
    /// It ends, but the proxy reads the rest of the gateway's request, so that a reset does not lose the response.
    Linger,
}

/// Effects of a fault on a request that comes to the object store.
#[derive(Default)]
struct Conduct {
    delay: Duration,
    request: Course,
    answer_delay: Duration,
    answer: Course,
    is_lost: bool,
    ending: Option<Ending>,
    /// `true` if the request is done though the gateway has left.
    is_done_anyway: bool,
}

/// Carries out what a request, whose head was read, meets with.
pub(crate) async fn exchange<R, W, S, T>(wires: &mut Wires<R, W, S, T>, head: &Head, fault: Option<Fault>) -> After
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
    S: AsyncBufRead + Unpin,
    T: AsyncWrite + Unpin,
{
    let mut conduct = Conduct::default();
    match fault {
        None => {}
        Some(Fault::DelayRequest(delay)) => conduct = Conduct { delay, is_done_anyway: true, ..conduct },
        Some(Fault::DelayAnswer(answer_delay)) => conduct = Conduct { answer_delay, is_done_anyway: true, ..conduct },
        Some(Fault::LoseResponse(ending)) => {
            conduct = Conduct { is_lost: true, ending: Some(ending), is_done_anyway: true, ..conduct };
        }
        Some(Fault::CutRequest(place, ending)) => {
            conduct.request.cut = Some(place);
            conduct.ending = Some(ending);
        }
        Some(Fault::CutAnswer(place, ending)) => {
            conduct.answer.cut = Some(place);
            conduct.ending = Some(ending);
        }
        Some(Fault::TrickleAnswer(pace)) => conduct.answer.pace = Some(pace),
        Some(Fault::Refuse(refusal)) => return refuse(wires, head, &refusal).await,
        Some(Fault::NeverAnswer) => {
            drain(&mut wires.from_gateway).await;
            return After::End(Ending::Close);
        }
    }
    if !conduct.delay.is_zero() {
        sleep(conduct.delay).await;
    }
    pass(wires, head, &conduct).await
}

/// Passes the request and its response on, both at once: a response may come early, and a gateway may leave late.
async fn pass<R, W, S, T>(wires: &mut Wires<R, W, S, T>, head: &Head, conduct: &Conduct) -> After
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
    S: AsyncBufRead + Unpin,
    T: AsyncWrite + Unpin,
{
    let Wires { from_gateway, to_gateway, from_store, to_store } = wires;
    let end = After::End(conduct.ending.unwrap_or(Ending::Close));
    let (is_sent, is_answered) = (AtomicBool::new(false), AtomicBool::new(false));
    let request = async {
        let passed = forward(head, Framing::of_request(head), from_gateway, to_store, conduct.request).await;
        is_sent.store(passed == Passed::Whole, Relaxed);
        if passed != Passed::Whole || is_answered.load(Relaxed) {
            return passed;
        }
        if conduct.is_done_anyway {
            return pending().await;
        }
        until_gone(from_gateway).await;
        Passed::SenderGone
    };
    let mut request = pin!(request);
    let (passed, closes) = {
        let mut answer = pin!(answer(from_store, to_gateway, head.word(0), conduct));
        select! {
            passed = &mut request => match passed {
                Passed::Whole | Passed::Cut | Passed::SenderGone => return end,
                // It takes no more of the body, but has perhaps said why.
                Passed::ReceiverGone => (answer.await.0, true),
            },
            answered = &mut answer => answered,
        }
    };
    is_answered.store(true, Relaxed);
    let is_sent = is_sent.load(Relaxed);
    match passed {
        Passed::Whole if !closes && is_sent => After::Next,
        // The object store may want the rest of the body, or end the connection.
        Passed::Whole if !closes => select! {
            passed = request => match passed {
                Passed::Whole => After::Next,
                Passed::ReceiverGone => After::Linger,
                Passed::Cut | Passed::SenderGone => end,
            },
            () = until_gone(from_store) => After::Linger,
        },
        Passed::Whole if !is_sent => After::Linger,
        Passed::Whole | Passed::Cut | Passed::SenderGone | Passed::ReceiverGone => end,
    }
}

/// Passes the response on. Returns how far it came, and whether the connection ends after it.
async fn answer(
    from_store: &mut (impl AsyncBufRead + Unpin),
    to_gateway: &mut (impl AsyncWrite + Unpin),
    method: &str,
    conduct: &Conduct,
) -> (Passed, bool) {
    loop {
        let Ok(Some(head)) = Head::read(from_store).await else { return (Passed::SenderGone, true) };
        if (100..200).contains(&head.status()) {
            // More follows: the gateway waits for this one before it sends its body.
            if to_gateway.write_all(head.bytes()).await.is_err() {
                return (Passed::ReceiverGone, true);
            }
            continue;
        }
        if !conduct.answer_delay.is_zero() {
            sleep(conduct.answer_delay).await;
        }
        let framing = Framing::of_answer(&head, method);
        let closes = head.closes() || framing == Framing::UntilClosed;
        if conduct.is_lost {
            forward(&head, framing, from_store, &mut sink(), Course::default()).await;
            return (Passed::Cut, true);
        }
        return (forward(&head, framing, from_store, to_gateway, conduct.answer).await, closes);
    }
}

/// Responds in place of the object store.
async fn refuse<R, W, S, T>(wires: &mut Wires<R, W, S, T>, head: &Head, refusal: &Refusal) -> After
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Wires { from_gateway, to_gateway, .. } = wires;
    if !refusal.is_early {
        let waits = head.header("expect").is_some();
        if waits && to_gateway.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            return After::End(Ending::Close);
        }
        let framing = Framing::of_request(head);
        if forward(head, framing, from_gateway, &mut sink(), Course::default()).await != Passed::Whole {
            return After::End(Ending::Close);
        }
    }
    match to_gateway.write_all(&refusal.bytes(head.word(0))).await {
        Err(_) => After::End(Ending::Close),
        Ok(()) if refusal.is_early => After::Linger,
        Ok(()) => After::Next,
    }
}

/// Waits until a side ends the connection. If the side sends bytes before that, they stay unread, and the wait never
/// ends.
async fn until_gone(side: &mut (impl AsyncBufRead + Unpin)) {
    if let Ok([_, ..]) = side.fill_buf().await {
        pending::<()>().await;
    }
}
