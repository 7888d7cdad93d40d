//! The log: filter and format of its lines, the request id in each line, and panics.
//!
//! The request id is looked up only when a line is written; requests without log lines pay nothing.

use std::{
    fmt, io, panic,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter, Registry,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

use super::{
    metrics::{MetricKind, Metrics, Sample},
    request_context,
};

/// Default filter.
const DEFAULT_FILTER: &str = "info";

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Log filter: a level (`error`, `warn`, `info`, `debug`, `trace`) or directives by module as `tracing-subscriber`
/// defines them (`info,larder::server=debug`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// The text is not a filter.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidFilter(String);

impl FromStr for LogFilter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        // A bare word that is no level would be read as a module name and silence everything.
        let is_level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
        for directive in text.split(',') {
            if !directive.contains(['=', '[', ':']) && !is_level(&directive.trim().to_ascii_lowercase()) {
                return Err(InvalidFilter(format!("{directive:?} is no level")));
            }
        }
        EnvFilter::try_new(text).map_err(|error| InvalidFilter(error.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self(DEFAULT_FILTER.to_owned())
    }
}

/// Value of the access log's setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogSetting {
    /// No access log.
    Off,
    /// A line per request, in this format.
    On(LogFormat),
}

impl fmt::Display for AccessLogSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On(form) => form.fmt(f),
        }
    }
}

/// Options of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TelemetryOptions {
    /// The filter.
    pub filter: LogFilter,
    /// The format.
    pub format: LogFormat,
    /// The access log setting, if set.
    pub access_log: Option<AccessLogSetting>,
}

impl TelemetryOptions {
    /// Returns the format of the access log; `None` if there is none. By default a terminal gets no access log, and
    /// other outputs get one in the format of the log.
    pub fn access_log_form(&self, is_terminal: bool) -> Option<LogFormat> {
        match self.access_log {
            Some(AccessLogSetting::Off) => None,
            Some(AccessLogSetting::On(form)) => Some(form),
            None => (!is_terminal).then_some(self.format),
        }
    }
}

/// The log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The filter is invalid.
    #[error("the log's filter is not valid: {0}")]
    Filter(String),
    /// The log was already started in this process.
    #[error("the log was started before")]
    Twice,
}

/// Use of colours in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Colours on a terminal.
    OnTerminals,
    /// No colours.
    Never,
}

/// The running log.
#[derive(Debug, Clone)]
pub struct Log(reload::Handle<EnvFilter, Registry>);

impl Log {
    /// Replaces the filter.
    pub fn refilter(&self, filter: &LogFilter) {
        // Neither fails: the text was parsed as a filter before, and the log lives as long as the process.
        if let Ok(filter) = EnvFilter::try_new(&filter.0) {
            let _ = self.0.reload(filter);
        }
    }
}

/// Starts logging to standard error, for the whole process. Panics are logged, too. Colours need a terminal, and must
/// be `wanted`.
pub fn start(options: &TelemetryOptions, wanted: Colours) -> Result<Log, StartError> {
    let filter = EnvFilter::try_new(&options.filter.0).map_err(|error| StartError::Filter(error.to_string()))?;
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let started = match options.format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            let is_coloured = wanted == Colours::OnTerminals && io::stderr().is_terminal();
            let lines = lines.with_ansi(is_coloured);
            registry.with(lines.map_event_format(|form| WithRequestId::text(form.with_ansi(is_coloured)))).try_init()
        }
        LogFormat::Json => {
            registry.with(lines.json().flatten_event(true).map_event_format(WithRequestId::json)).try_init()
        }
    };
    started.map_err(|_| StartError::Twice)?;
    install_panic_hook();
    Ok(Log(handle))
}

/// The field of the id; a line that sets it explicitly keeps its value.
const FIELD: &str = "request";

/// A line format, and the position of the additional field.
#[derive(Debug)]
pub struct WithRequestId<F> {
    form: F,
    position: FieldPosition,
}

#[derive(Debug, Clone, Copy)]
enum FieldPosition {
    /// After everything else.
    End,
    /// Inside the line's JSON object.
    InObject,
}

impl WithRequestId<Format> {
    /// Returns the text format.
    pub fn text(form: Format) -> Self {
        Self { form, position: FieldPosition::End }
    }
}

impl WithRequestId<Format<Json>> {
    /// Returns the JSON format.
    pub fn json(form: Format<Json>) -> Self {
        Self { form, position: FieldPosition::InObject }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithRequestId<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if event.metadata().fields().field(FIELD).is_some() {
            return self.form.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.form.format_event(context, Writer::new(&mut line), event)?;
        // An id consists of letters, digits and dashes, which are not special in either format.
        let named = request_context::with_request_id(|id| match self.position {
            FieldPosition::End => format!("{} {FIELD}=\"{id}\"\n", line.trim_end()),
            FieldPosition::InObject => match line.trim_end().strip_suffix('}') {
                Some(open) => format!("{open},\"{FIELD}\":\"{id}\"}}\n"),
                None => line.clone(),
            },
        });
        writer.write_str(named.as_deref().unwrap_or(&line))
    }
}

/// Panics since the start of the process.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Installs a hook that logs every panic with its location, and counts it.
pub(super) fn install_panic_hook() {
    panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {message}");
    }));
}

/// Registers the number of panics.
pub fn register_panic_metrics(metrics: &Metrics) {
    let help = "Total number of panics of requests, jobs and other tasks.";
    metrics.register("larder_panics_total", help, MetricKind::Counter, || {
        vec![Sample::new(PANICS.load(Ordering::Relaxed))]
    });
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{Arc, Mutex},
    };

    use http::HeaderValue;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::telemetry::{costs::CostLedger, request_context::RequestContext};

    #[test]
    fn requests_are_logged_unless_a_terminal_shows_the_log_or_it_was_set() {
        let set = |access_log| TelemetryOptions { format: LogFormat::Json, access_log, ..TelemetryOptions::default() };
        for is_terminal in [true, false] {
            let as_usual = if is_terminal { None } else { Some(LogFormat::Json) };
            assert_eq!(set(None).access_log_form(is_terminal), as_usual);
            assert_eq!(set(Some(AccessLogSetting::Off)).access_log_form(is_terminal), None);
            let text = set(Some(AccessLogSetting::On(LogFormat::Text)));
            assert_eq!(text.access_log_form(is_terminal), Some(LogFormat::Text));
        }
    }

    #[test]
    fn levels_and_directives_are_filters_and_typing_mistakes_are_not() {
        for good in ["info", "WARN", "off", "info,larder::server=debug", "larder=trace"] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["", "inof", "info,debugg", "larder=loud"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }

    /// The written bytes.
    #[derive(Debug, Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panics").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Written {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().expect("no test panics").clone()).expect("text");
            text.lines().map(str::to_owned).collect()
        }
    }

    /// Writes a line for a request, one without a request, and one that sets the id explicitly.
    async fn write() {
        let mut for_request = pin!(async {
            tracing::warn!(what = "salt", "first");
            tracing::warn!(request = "b-2", "second");
        });
        let id = HeaderValue::from_static("a-1");
        RequestContext::new(id, Arc::new(CostLedger::default()), None).scope(for_request.as_mut()).await;
        tracing::warn!("third");
    }

    #[tokio::test]
    async fn lines_for_people_end_with_the_id() {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(written.clone());
        let layer = layer.map_event_format(|form| WithRequestId::text(form.with_ansi(false)));
        let _until_here = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        write().await;
        let lines = written.lines();
        assert!(lines[0].ends_with(r#"first what="salt" request="a-1""#), "{lines:?}");
        assert!(lines[1].ends_with(r#"second request="b-2""#), "{lines:?}");
        assert!(lines[2].ends_with("third"), "{lines:?}");
    }

    #[tokio::test]
    async fn lines_in_json_have_the_id_as_a_member() {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(written.clone()).json().flatten_event(true);
        let layer = layer.map_event_format(WithRequestId::json);
        let _until_here = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        write().await;
        let lines: Vec<serde_json::Value> =
            written.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let ids: Vec<_> = lines.iter().map(|line| line["request"].as_str()).collect();
        assert_eq!(ids, [Some("a-1"), Some("b-2"), None]);
        assert_eq!(lines[0]["what"], "salt");
    }

    #[test]
    fn a_panic_is_counted() {
        let count = || PANICS.load(Ordering::Relaxed);
        install_panic_hook();
        let before = count();
        assert!(panic::catch_unwind(|| panic!("on purpose")).is_err());
        let _ = panic::take_hook();
        assert!(count() > before);
        let metrics = Metrics::default();
        register_panic_metrics(&metrics);
        assert!(metrics.render().contains("larder_panics_total"));
    }
}
