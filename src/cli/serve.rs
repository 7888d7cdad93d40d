//! `larder serve`: serves until it is stopped, and reloads configuration, certificates and accounts on `SIGHUP`.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    clock::{Clock, SystemClock},
    config::{ConfigSources, Loaded, Setting, load},
    gateway::{Gateway, Reloader, TokenOrigin},
    telemetry::{self, Colours, Log, LogFormat},
};

use super::{exit, output};

/// Serves with the given configuration.
pub(super) fn serve(sources: &ConfigSources) -> ExitCode {
    let started = match load(sources) {
        Ok(loaded) => loaded,
        Err(problems) => {
            print_error(problems.log_format, &problems.to_string());
            return exit::invalid_usage();
        }
    };
    let format = started.config.telemetry.format;
    // See https://no-color.org.
    let colours = if sources.variable("NO_COLOR").is_some() { Colours::Never } else { Colours::OnTerminals };
    let log = match telemetry::start(&started.config.telemetry, colours) {
        Ok(log) => log,
        Err(error) => {
            print_error(format, &output::error_chain(&error));
            return exit::failed();
        }
    };
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(format, &format!("cannot start the async runtime: {error}"));
            return exit::failed();
        }
    };
    match runtime.block_on(serve_until_stopped(ConfigReload { sources, started, log }, format)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(format, &error);
            exit::failed()
        }
    }
}

/// Prints an error: for people, or as a JSON log entry, regardless of the log's filter.
fn print_error(format: LogFormat, error: &str) {
    match format {
        LogFormat::Text => output::print_error(error),
        LogFormat::Json => {
            let timestamp = SystemClock.now();
            let line = serde_json::json!({ "timestamp": timestamp, "level": "ERROR", "message": error, "target": module_path!() });
            output::print_message(&line.to_string());
        }
    }
}

async fn serve_until_stopped(reload: ConfigReload<'_>, format: LogFormat) -> Result<(), String> {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let [mut term, mut interrupt, mut hangup] =
        collect_signals(kinds.map(signal)).map_err(|error| format!("cannot receive signals: {error}"))?;
    let gateway = Box::pin(Gateway::open(reload.started.config.clone())).await;
    let gateway = gateway.map_err(|error| output::error_chain(&error))?;
    for warning in &reload.started.warnings {
        tracing::warn!("{warning}");
    }
    print_addresses(&gateway, format);
    let reloader = gateway.reloader();
    let (drain, draining) = tokio::sync::oneshot::channel::<()>();
    let mut running = std::pin::pin!(gateway.run(async move {
        // The sender is never dropped before it has sent.
        let _ = draining.await;
    }));
    let ended = tokio::select! {
        ended = running.as_mut() => ended,
        () = reload.run(&mut hangup, &reloader) => Ok(()),
        () = stop_signal(&mut term, &mut interrupt) => {
            let _ = drain.send(());
            tokio::select! {
                ended = running => ended,
                () = stop_signal(&mut term, &mut interrupt) => {
                    return Err("stopped by a second signal, without waiting for requests in flight".to_owned());
                }
            }
        }
    };
    ended.map_err(|error| output::error_chain(&error))
}

/// Returns all signals, or the first error.
fn collect_signals<const N: usize>(signals: [io::Result<Signal>; N]) -> io::Result<[Signal; N]> {
    let signals = signals.into_iter().collect::<io::Result<Vec<_>>>()?;
    signals.try_into().map_err(|_| io::Error::other("one is missing"))
}

async fn stop_signal(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Prints the addresses of the API and the console, and the means to sign in. A JSON log is for programs, which find
/// the addresses in it; a token is printed on a terminal only.
fn print_addresses(gateway: &Gateway, format: LogFormat) {
    let admin = gateway.admin_token();
    if let TokenOrigin::Made(place) = &admin.origin {
        tracing::info!(kept_in = place, "admin token generated");
    }
    if format == LogFormat::Json && !io::stdout().is_terminal() {
        return;
    }
    output::print_line(&format!("Larder listens on {}://{}", gateway.scheme(), gateway.local_addr()));
    output::print_line(&format!("Console: {}", gateway.console()));
    match &admin.origin {
        TokenOrigin::Given => {}
        TokenOrigin::Made(place) => {
            output::print_line(&format!("Admin token: {}", admin.token.reveal()));
            output::print_line(&format!("It is shown only once, and is stored in {place}."));
        }
        TokenOrigin::Kept(place) => output::print_line(&format!("The admin token is in {place}")),
    }
}

/// Sources of this process's configuration, and its present state.
pub(super) struct ConfigReload<'a> {
    pub(super) sources: &'a ConfigSources,
    pub(super) started: Loaded,
    pub(super) log: Log,
}

impl ConfigReload<'_> {
    /// Reloads whenever `hangup` comes; never returns.
    pub(super) async fn run(self, hangup: &mut Signal, gateway: &Reloader) {
        let mut current = None;
        while hangup.recv().await.is_some() {
            if let Some(loaded) = self.reload_once(current.as_ref().unwrap_or(&self.started), gateway).await {
                current = Some(loaded);
            }
        }
        std::future::pending::<()>().await;
    }

    /// Reloads once; returns the new configuration, or `None` if everything stays as it was.
    async fn reload_once(&self, current: &Loaded, gateway: &Reloader) -> Option<Loaded> {
        let loaded = match load(self.sources) {
            Ok(loaded) => loaded,
            Err(problems) => {
                for problem in &problems.errors {
                    tracing::error!("cannot reload the configuration: {problem}");
                }
                tracing::error!("configuration not reloaded: nothing was changed");
                return None;
            }
        };
        if let Err(error) = gateway.apply(&loaded.config).await {
            tracing::error!("cannot reload: {}", output::error_chain(&error));
            tracing::error!("configuration not reloaded: nothing was changed");
            return None;
        }
        for warning in &loaded.warnings {
            tracing::warn!("configuration: {warning}");
        }
        self.log.refilter(&loaded.config.telemetry.filter);
        let changed = setting_names(current.changes(&loaded).filter(|setting| setting.is_reloadable()));
        tracing::info!(changed, "configuration, certificates and accounts reloaded");
        let pending = setting_names(self.started.changes(&loaded).filter(|setting| !setting.is_reloadable()));
        if !pending.is_empty() {
            tracing::warn!("changed settings that require a restart: {pending}");
        }
        Some(loaded)
    }
}

fn setting_names(settings: impl Iterator<Item = &'static Setting>) -> String {
    settings.map(|setting| setting.name).collect::<Vec<_>>().join(", ")
}
