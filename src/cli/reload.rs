//! Reload of the configuration, certificates and accounts on `SIGHUP`, without downtime.

use tokio::signal::unix::Signal;

use crate::{
    config::{Given, Loaded, Setting, load},
    gateway::Reloading,
    telemetry::Log,
};

use super::output;

/// Sources of this process's configuration, and its present state.
pub(super) struct Reload<'a> {
    pub(super) given: &'a Given,
    pub(super) started: Loaded,
    pub(super) log: Log,
}

impl Reload<'_> {
    /// Reloads whenever `hangup` comes; never returns.
    pub(super) async fn on(self, hangup: &mut Signal, gateway: &Reloading) {
        let mut current = None;
        while hangup.recv().await.is_some() {
            if let Some(taken) = self.once(current.as_ref().unwrap_or(&self.started), gateway).await {
                current = Some(taken);
            }
        }
        std::future::pending::<()>().await;
    }

    /// Reloads once; returns the new configuration, or `None` if everything stays as it was.
    async fn once(&self, current: &Loaded, gateway: &Reloading) -> Option<Loaded> {
        let loaded = match load(self.given) {
            Ok(loaded) => loaded,
            Err(problems) => {
                for problem in &problems.list {
                    tracing::error!("SIGHUP: {problem}");
                }
                tracing::error!("SIGHUP: the new configuration was not taken, and all is as before");
                return None;
            }
        };
        if let Err(error) = gateway.take(&loaded.config).await {
            tracing::error!("SIGHUP: {}", output::whole(&error));
            tracing::error!("SIGHUP: the new configuration was not taken, and all is as before");
            return None;
        }
        for warning in &loaded.warnings {
            tracing::warn!("SIGHUP: {warning}");
        }
        self.log.refilter(&loaded.config.telemetry.filter);
        let changed = names(current.changes(&loaded).filter(|setting| setting.is_live()));
        tracing::info!(changed, "SIGHUP: configuration, certificates and accounts were taken anew");
        let kept = names(self.started.changes(&loaded).filter(|setting| !setting.is_live()));
        if !kept.is_empty() {
            tracing::warn!("SIGHUP: what has changed of these needs a restart: {kept}");
        }
        Some(loaded)
    }
}

fn names(settings: impl Iterator<Item = &'static Setting>) -> String {
    settings.map(|setting| setting.name).collect::<Vec<_>>().join(", ")
}
