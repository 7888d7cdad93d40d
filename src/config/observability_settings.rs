//! Settings of observability apart from metrics: traces, the access log, and the cost of object calls.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::telemetry::{AccessLogSetting, LogFormat};

use super::setting::Setting;

/// Settings of traces, of the access log, and of the prices of object calls.
pub(super) static SETTINGS: &[Setting] = &[
    Setting {
        name: "otlp_endpoint",
        value: "URL",
        help: "OpenTelemetry collector that receives traces by OTLP over HTTP, such as http://127.0.0.1:4318; without \
               it, tracing is off",
        is_secret: false,
        apply: |config, text| {
            config.traces.collector = Some(text.trim().parse().map_err(|_| {
                "is not the URL of a collector; write it like http://127.0.0.1:4318 or https://collector.example/otlp"
                    .to_owned()
            })?);
            Ok(())
        },
        show: |config| config.traces.collector.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "otlp_headers",
        value: "NAME=VALUE,...",
        help: "HTTP headers for requests to the collector, such as an API key",
        is_secret: true,
        apply: |config, text| {
            config.traces.headers = headers(text)?;
            Ok(())
        },
        show: |config| (!config.traces.headers.is_empty()).then(String::new),
    },
    Setting {
        name: "trace_ratio",
        value: "SHARE",
        help: "Fraction of requests that are traced, from 0 to 1, in addition to requests that their callers trace",
        is_secret: false,
        apply: |config, text| {
            let ratio = text.trim().parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            config.traces.ratio = ratio.ok_or_else(|| "is not a number from 0 to 1; write it like 0.01".to_owned())?;
            Ok(())
        },
        show: |config| Some(config.traces.ratio.to_string()),
    },
    Setting {
        name: "prices",
        value: "LIST",
        help: "Prices of the object store, for the estimated cost of usage: per 1,000 requests of class A and B, and \
               per GiB in and out, such as a=0.005,b=0.0004,in=0,out=0.09,currency=USD",
        is_secret: false,
        apply: |config, text| {
            config.prices = Some(text.parse().map_err(|error| {
                format!("is not a price list ({error}); write it like a=0.005,b=0.0004,in=0,out=0.09,currency=USD")
            })?);
            Ok(())
        },
        show: |config| config.prices.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "access_log",
        value: "FORMAT",
        help: "Format of the access log, one line per request on standard error: text, json or off; if not set, the \
               format of the log, or off if standard error is a terminal",
        is_secret: false,
        apply: |config, text| {
            config.telemetry.access_log = Some(match text.trim() {
                "off" => AccessLogSetting::Off,
                "text" => AccessLogSetting::On(LogFormat::Text),
                "json" => AccessLogSetting::On(LogFormat::Json),
                _ => return Err("is not a format of the access log; write text, json or off".to_owned()),
            });
            Ok(())
        },
        show: |config| config.telemetry.access_log.map(|setting| setting.to_string()),
    },
];

/// Parses header fields; their values are secrets, and no error repeats them.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let invalid = || "is not a list of headers; write it like x-api-key=KEY,x-other=VALUE".to_owned();
    let mut headers = HeaderMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(invalid)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| invalid())?;
        let mut value = HeaderValue::try_from(value.trim()).map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
