//! Spans in OTLP: a JSON document, as every collector accepts it at `/v1/traces`.
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>)

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::trace::{Span, SpanKind, Value, hex};

/// Service name of the spans.
const SERVICE: &str = "larder";

/// The media type of the document.
pub const CONTENT_TYPE: &str = "application/json";

/// Returns the document for `spans` of the process `instance`.
pub fn document(spans: &[Span], instance: &str) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let resource = json!({ "attributes": [
        attribute("service.name", &SERVICE.into()),
        attribute("service.version", &version.into()),
        attribute("service.instance.id", &instance.into()),
    ] });
    let scope = json!({ "name": SERVICE, "version": version });
    let spans: Vec<Json> = spans.iter().map(span).collect();
    let document =
        json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "scope": scope, "spans": spans }] }] });
    document.to_string().into_bytes()
}

fn span(span: &Span) -> Json {
    let kind = match span.kind {
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    };
    let attributes: Vec<Json> = span.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    let mut document = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.id),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": attributes,
    });
    if let Some(parent) = &span.parent {
        document["parentSpanId"] = hex(parent).into();
    }
    if span.has_failed {
        document["status"] = json!({ "code": 2 });
    }
    document
}

/// 64-bit integers are strings in this encoding.
fn attribute(name: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": name, "value": value })
}

fn nanos(time: Duration) -> String {
    time.as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_as_the_specification_has_it() {
        let span = Span {
            trace: [0x5b; 16],
            id: [0xee; 8],
            parent: Some([0x01; 8]),
            name: "get_record",
            kind: SpanKind::Server,
            began: Duration::new(1_544_712_660, 7),
            ended: Duration::new(1_544_712_661, 0),
            attributes: vec![("larder.request_id", "a-1".into()), ("http.response.status_code", 200_u64.into())],
            has_failed: true,
        };
        let document: Json = serde_json::from_slice(&document(&[span], "here")).expect("JSON");
        let resource = &document["resourceSpans"][0];
        assert_eq!(
            resource["resource"]["attributes"][0],
            json!({ "key": "service.name", "value": { "stringValue": "larder" } })
        );
        let expected = json!({
            "traceId": "5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b",
            "spanId": "eeeeeeeeeeeeeeee",
            "name": "get_record",
            "kind": 2,
            "startTimeUnixNano": "1544712660000000007",
            "endTimeUnixNano": "1544712661000000000",
            "attributes": [
                { "key": "larder.request_id", "value": { "stringValue": "a-1" } },
                { "key": "http.response.status_code", "value": { "intValue": "200" } },
            ],
            "parentSpanId": "0101010101010101",
            "status": { "code": 2 },
        });
        assert_eq!(resource["scopeSpans"][0]["spans"][0], expected);
    }
}
