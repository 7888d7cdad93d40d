//! Trace propagation between programs: the header `traceparent` (<https://www.w3.org/TR/trace-context/>).

use http::{HeaderName, HeaderValue};

/// The header.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Flag bit of a sampled trace.
const SAMPLED: u8 = 1;

/// Id of a trace.
pub type TraceId = [u8; 16];

/// Id of a span.
pub type SpanId = [u8; 8];

/// Trace context of a request, as sent by its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: TraceId,
    /// The caller's span.
    pub span: SpanId,
    /// True if the trace is sampled.
    pub is_sampled: bool,
}

impl Parent {
    /// Parses the header; `None` if it is invalid, as if it were absent.
    pub fn read(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let mut fields = text.trim().split('-');
        let [version, trace, span, flags] = [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
        let [version] = bytes::<1>(version)?;
        // Later versions may have more fields after these; version 255 is invalid.
        if version == u8::MAX || version == 0 && fields.next().is_some() {
            return None;
        }
        let (trace, span, [flags]) = (bytes(trace)?, bytes(span)?, bytes::<1>(flags)?);
        let is_valid = trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self { trace, span, is_sampled: flags & SAMPLED != 0 })
    }
}

/// Returns the header that makes `span` of a sampled trace the parent of the next server's spans.
pub fn traceparent(trace: TraceId, span: SpanId) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("00-{}-{}-{SAMPLED:02x}", hex(&trace), hex(&span))).ok()
}

/// Formats bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Parses exactly `N` bytes of lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(text: &str) -> Option<Parent> {
        Parent::read(&HeaderValue::from_str(text).expect("a header"))
    }

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let parent = read(EXAMPLE).expect("it is one");
        assert!(parent.is_sampled);
        assert_eq!(hex(&parent.span), "b7ad6b7169203331");
        assert_eq!(traceparent(parent.trace, parent.span).expect("a header"), EXAMPLE);
        assert!(!read(&EXAMPLE.replace("-01", "-00")).expect("it is one").is_sampled);
        assert!(read(&EXAMPLE.replace("00-0a", "cc-0a").replace("-01", "-09-more")).expect("it is one").is_sampled);
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        for text in [
            "",
            "00",
            &EXAMPLE[..54],
            &EXAMPLE.to_ascii_uppercase(),
            &EXAMPLE.replace("00-0a", "ff-0a"),
            &format!("{EXAMPLE}-more"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
