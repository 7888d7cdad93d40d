//! Setup of tracing, if a collector is configured.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, Random},
    config::Config,
    jobs::{Job, SpanExport},
    outbound::Peer,
    telemetry::{Metrics, trace::Tracer},
};

use super::error::StartError;

/// Timeout for sending the queued spans at the end.
const CLOSING_LIMIT: Duration = Duration::from_secs(5);

/// The tracer and the job that sends its spans; empty if no collector is configured.
#[derive(Debug, Default)]
pub(super) struct Tracing {
    tracer: Option<Arc<Tracer>>,
    export: Option<Arc<SpanExport>>,
}

impl Tracing {
    /// Returns the configured tracing; `metrics` shows the number of spans sent.
    pub(super) fn of(
        config: &Config,
        clock: &Arc<dyn Clock>,
        random: &dyn Random,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let options = &config.traces;
        let mut seed = [0; 8];
        random.fill(&mut seed);
        let seed = u64::from_le_bytes(seed);
        let tracer = Arc::new(Tracer::new(options.ratio, seed));
        tracer.show(metrics);
        let Some(address) = &options.collector else { return Ok(Self::default()) };
        let collector = Peer::collector(address.server().clone(), &config.proxies, Arc::clone(clock));
        let collector = collector.map_err(StartError::Collector)?;
        let instance = format!("{seed:016x}");
        let export = SpanExport::new(Arc::clone(&tracer), collector, address, options.headers.clone(), instance);
        Ok(Self { tracer: Some(tracer), export: Some(Arc::new(export)) })
    }

    /// Returns the tracer.
    pub(super) fn tracer(&self) -> Option<Arc<Tracer>> {
        self.tracer.clone()
    }

    /// Returns the background job.
    pub(super) fn job(&self) -> Option<Arc<dyn Job>> {
        self.export.clone().map(|export| export as Arc<dyn Job>)
    }

    /// Sends the queued spans, if that succeeds within the timeout.
    pub(super) async fn finish(&self, clock: &dyn Clock) {
        let Some(export) = &self.export else { return };
        tokio::select! {
            _ = export.run_once() => {}
            () = clock.sleep(CLOSING_LIMIT) => {}
        }
    }
}
