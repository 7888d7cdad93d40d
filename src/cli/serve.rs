//! `larder serve`: serves until it is told to stop.

use std::{io, process::ExitCode};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    config::{Given, load},
    gateway::{Gateway, TokenOrigin},
    telemetry,
};

use super::{exit, output, reload::Reload};

/// Serves with the configuration that was given.
pub(super) fn serve(given: &Given) -> ExitCode {
    let started = match load(given) {
        Ok(loaded) => loaded,
        Err(problems) => {
            output::complain(&problems.to_string());
            return exit::wrong_settings();
        }
    };
    let log = match telemetry::start(&started.config.telemetry) {
        Ok(log) => log,
        Err(error) => {
            output::complain(&output::whole(&error));
            return exit::failed();
        }
    };
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("the runtime cannot be started: {error}"));
            return exit::failed();
        }
    };
    runtime.block_on(serve_until_told(Reload { given, started, log }))
}

async fn serve_until_told(reload: Reload<'_>) -> ExitCode {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let [mut term, mut interrupt, mut hangup] = match all(kinds.map(signal)) {
        Ok(signals) => signals,
        Err(error) => {
            output::complain(&format!("signals cannot be waited for: {error}"));
            return exit::failed();
        }
    };
    let gateway = match Box::pin(Gateway::open(reload.started.config.clone())).await {
        Ok(gateway) => gateway,
        Err(error) => {
            output::complain(&output::whole(&error));
            return exit::failed();
        }
    };
    greet(&gateway);
    let reloading = gateway.reloading();
    let (drain, draining) = tokio::sync::oneshot::channel::<()>();
    let mut running = std::pin::pin!(gateway.run(async move {
        // The sender is never dropped before it has sent.
        let _ = draining.await;
    }));
    let ended = tokio::select! {
        ended = running.as_mut() => ended,
        () = reload.on(&mut hangup, &reloading) => Ok(()),
        () = told(&mut term, &mut interrupt) => {
            let _ = drain.send(());
            tokio::select! {
                ended = running => ended,
                () = told(&mut term, &mut interrupt) => {
                    output::complain("told to stop for the second time: not waiting for requests in flight");
                    return exit::failed();
                }
            }
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&output::whole(&error));
            exit::failed()
        }
    }
}

/// All of them, or what went wrong with one.
fn all<const N: usize>(signals: [io::Result<Signal>; N]) -> io::Result<[Signal; N]> {
    let signals = signals.into_iter().collect::<io::Result<Vec<_>>>()?;
    signals.try_into().map_err(|_| io::Error::other("one is missing"))
}

async fn told(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Says where the API is, and how to get in.
fn greet(gateway: &Gateway) {
    output::say(&format!("Larder listens on {}://{}", gateway.scheme(), gateway.local_addr()));
    let admin = gateway.admin_token();
    match &admin.origin {
        TokenOrigin::Given => {}
        TokenOrigin::Made(place) => {
            output::say(&format!("Admin token: {}", admin.token.reveal()));
            output::say(&format!("It is shown this once; {place} keeps it."));
        }
        TokenOrigin::Kept(place) => output::say(&format!("The admin token is in {place}")),
    }
}
