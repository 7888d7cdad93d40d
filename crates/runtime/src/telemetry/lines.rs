//! Log lines with the id of their request.
//!
//! The id is looked up only when a line is written; requests without log lines pay nothing.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
    },
    registry::LookupSpan,
};

use super::work;

/// The field of the id; a line that sets it explicitly keeps its value.
const FIELD: &str = "request";

/// A line format, and the position of the additional field.
#[derive(Debug)]
pub struct Named<F> {
    form: F,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// After everything else.
    AtTheEnd,
    /// Inside the line's JSON object.
    InTheObject,
}

impl Named<Format> {
    /// Returns the text format.
    pub fn text(form: Format) -> Self {
        Self { form, place: Place::AtTheEnd }
    }
}

impl Named<Format<Json>> {
    /// Returns the JSON format.
    pub fn json(form: Format<Json>) -> Self {
        Self { form, place: Place::InTheObject }
    }
}

impl<S, N, F> FormatEvent<S, N> for Named<F>
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
        let named = work::look_at_id(|id| match self.place {
            Place::AtTheEnd => format!("{} {FIELD}=\"{id}\"\n", line.trim_end()),
            Place::InTheObject => match line.trim_end().strip_suffix('}') {
                Some(open) => format!("{open},\"{FIELD}\":\"{id}\"}}\n"),
                None => line.clone(),
            },
        });
        writer.write_str(named.as_deref().unwrap_or(&line))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        pin::pin,
        sync::{Arc, Mutex},
    };

    use http::HeaderValue;
    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

    use super::*;
    use crate::telemetry::{ledger::Ledger, work::Work};

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
        Work::new(id, Arc::new(Ledger::default()), None).around(for_request.as_mut()).await;
        tracing::warn!("third");
    }

    #[tokio::test]
    async fn lines_for_people_end_with_the_id() {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(written.clone());
        let layer = layer.map_event_format(|form| Named::text(form.with_ansi(false)));
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
        let layer = layer.map_event_format(Named::json);
        let _until_here = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        write().await;
        let lines: Vec<serde_json::Value> =
            written.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let ids: Vec<_> = lines.iter().map(|line| line["request"].as_str()).collect();
        assert_eq!(ids, [Some("a-1"), Some("b-2"), None]);
        assert_eq!(lines[0]["what"], "salt");
    }
}
