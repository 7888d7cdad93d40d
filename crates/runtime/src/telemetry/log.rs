//! The log: filter and format of its lines.

use std::{fmt, io, str::FromStr};

use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use super::{lines::Named, panics::log_and_count};

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
            registry.with(lines.map_event_format(|form| Named::text(form.with_ansi(is_coloured)))).try_init()
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true).map_event_format(Named::json)).try_init(),
    };
    started.map_err(|_| StartError::Twice)?;
    log_and_count();
    Ok(Log(handle))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
