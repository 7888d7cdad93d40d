//! Conditional requests and ranges (RFC 9110, sections 13 and 14).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

use crate::{clock::Timestamp, storage::ByteRange};

/// Suffix of the `ETag` of a record that was decoded for the response: other bytes than stored, but the same record.
const DECODED_SUFFIX: &str = "-plain";

/// Minimum age of a write for its second to be over, with allowance for clock skew (RFC 9110, 8.8.2.2).
const MIN_DATE_VALIDATOR_AGE: Duration = Duration::from_mins(1);

/// Returns the `ETag` of the sent bytes, in quotes.
pub fn entity_tag(etag: &str, is_decoded: bool) -> String {
    ["\"", etag, if is_decoded { DECODED_SUFFIX } else { "" }, "\""].concat()
}

/// Result of evaluating the preconditions of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send the record.
    Send,
    /// The client's copy is current: 304.
    NotModified,
    /// A precondition failed: 412.
    Failed,
}

/// Evaluates the preconditions of a read for a record whose stored bytes have `etag`, and which is decoded or not.
pub fn evaluate(headers: &HeaderMap, etag: &str, is_decoded: bool, last_modified: Timestamp) -> Verdict {
    if let Some(tags) = etags(headers, &header::IF_MATCH) {
        if !tags.iter().any(|tag| tag.is_any() || (!tag.is_weak && tag.record_etag() == etag)) {
            return Verdict::Failed;
        }
    } else if date_header(headers, &header::IF_UNMODIFIED_SINCE).is_some_and(|date| whole_seconds(last_modified) > date)
    {
        return Verdict::Failed;
    }
    if let Some(tags) = etags(headers, &header::IF_NONE_MATCH) {
        let sent = entity_tag(etag, is_decoded);
        if tags.iter().any(|tag| tag.is_any() || tag.text == sent.trim_matches('"')) {
            return Verdict::NotModified;
        }
    } else if date_header(headers, &header::IF_MODIFIED_SINCE).is_some_and(|date| whole_seconds(last_modified) <= date)
    {
        return Verdict::NotModified;
    }
    Verdict::Send
}

/// Returns whether `If-Range` matches the current record, so that the client can combine its parts.
///
/// A date is a strong validator only if no second write can have happened within its second.
pub fn if_range_matches(headers: &HeaderMap, etag: &str, last_modified: Timestamp, now: Timestamp) -> bool {
    let Some(value) = headers.get(header::IF_RANGE) else { return true };
    let value = value.to_str().unwrap_or_default().trim();
    match httpdate::parse_http_date(value) {
        Ok(date) => {
            whole_seconds(last_modified) == whole_seconds(date.into())
                && now.since(last_modified) > MIN_DATE_VALIDATOR_AGE
        }
        Err(_) => parse_tags(value).is_some_and(|tags| tags.iter().any(|tag| !tag.is_weak && tag.text == etag)),
    }
}

/// Returns the single requested range. Several ranges and unreadable ones are ignored: the whole record is sent.
pub fn range(headers: &HeaderMap) -> Option<ByteRange> {
    let value = headers.get(header::RANGE)?.to_str().ok()?;
    let (unit, range) = value.split_once('=')?;
    let (first, last) = range.trim().split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
    match (first, last) {
        ("", length) => Some(ByteRange::Suffix(offset(length)?)),
        (first, "") => Some(ByteRange::From(offset(first)?)),
        (first, last) => {
            let (first, last) = (offset(first)?, offset(last)?);
            (first <= last).then_some(ByteRange::Bounded { first, last })
        }
    }
}

/// Parses an offset; one that exceeds any record becomes the maximum.
fn offset(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// `ETag` sent by a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    text: &'a str,
    is_weak: bool,
}

impl<'a> Tag<'a> {
    /// Returns whether it matches any record.
    pub fn is_any(&self) -> bool {
        self.text == "*"
    }

    /// Returns whether it is a weak validator.
    pub fn is_weak(&self) -> bool {
        self.is_weak
    }

    /// Returns the `ETag` of the stored bytes, whether the client received these or decoded ones.
    pub fn record_etag(&self) -> &'a str {
        self.text.strip_suffix(DECODED_SUFFIX).unwrap_or(self.text)
    }
}

/// Returns the `ETag`s in a header; `None` if the header is absent.
pub fn etags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Vec<Tag<'a>>> {
    let values = headers.get_all(name);
    let mut all = None;
    for value in values {
        let tags = value.to_str().ok().and_then(parse_tags).unwrap_or_default();
        all.get_or_insert_with(Vec::new).extend(tags);
    }
    all
}

/// Parses a comma-separated list of `ETag`s. Some clients omit the quotes.
fn parse_tags(value: &str) -> Option<Vec<Tag<'_>>> {
    let mut tags = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        let is_weak = rest.starts_with("W/");
        let opaque = rest.trim_start_matches("W/");
        let (text, behind) = match opaque.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => opaque.split_at(opaque.find(',').unwrap_or(opaque.len())),
        };
        tags.push(Tag { text: text.trim(), is_weak });
        rest = behind.trim_start_matches([' ', '\t', ',']);
    }
    Some(tags)
}

/// Returns a date header in seconds since the epoch; an invalid date is ignored (RFC 9110, 13.1.3).
pub fn date_header(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let date: SystemTime = httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()?;
    Some(Timestamp::from(date).as_millis() / 1000)
}

/// Truncates a moment to whole seconds, the precision of HTTP dates.
pub fn whole_seconds(moment: Timestamp) -> i64 {
    moment.as_millis() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: Timestamp = Timestamp::from_millis(784_111_777_500);
    const THAT_SECOND: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a valid header"))])
    }

    #[test]
    fn conditions_on_the_validator_go_by_the_bytes_that_are_sent() {
        let verdict = |name, value, is_decoded| evaluate(&headers(name, value), "x", is_decoded, WRITTEN);
        assert_eq!(verdict(header::IF_NONE_MATCH, "\"x\"", false), Verdict::NotModified);
        assert_eq!(verdict(header::IF_NONE_MATCH, "\"a\", W/\"x\"", false), Verdict::NotModified);
        assert_eq!(verdict(header::IF_NONE_MATCH, "*", false), Verdict::NotModified);
        assert_eq!(verdict(header::IF_NONE_MATCH, "\"x\"", true), Verdict::Send);
        assert_eq!(verdict(header::IF_NONE_MATCH, "\"x-plain\"", true), Verdict::NotModified);
        assert_eq!(verdict(header::IF_MATCH, "\"x\"", false), Verdict::Send);
        assert_eq!(verdict(header::IF_MATCH, "\"x-plain\"", false), Verdict::Send);
        assert_eq!(verdict(header::IF_MATCH, "W/\"x\"", false), Verdict::Failed);
        assert_eq!(verdict(header::IF_MATCH, "\"y\"", false), Verdict::Failed);
    }

    #[test]
    fn conditions_on_the_date_go_by_whole_seconds() {
        let verdict = |name, value| evaluate(&headers(name, value), "x", false, WRITTEN);
        assert_eq!(verdict(header::IF_MODIFIED_SINCE, THAT_SECOND), Verdict::NotModified);
        assert_eq!(verdict(header::IF_MODIFIED_SINCE, EARLIER), Verdict::Send);
        assert_eq!(verdict(header::IF_MODIFIED_SINCE, "yesterday"), Verdict::Send);
        assert_eq!(verdict(header::IF_UNMODIFIED_SINCE, THAT_SECOND), Verdict::Send);
        assert_eq!(verdict(header::IF_UNMODIFIED_SINCE, EARLIER), Verdict::Failed);
    }

    #[test]
    fn one_range_is_read_and_anything_else_is_none() {
        let range = |value| range(&headers(header::RANGE, value));
        assert_eq!(range("bytes=2-4"), Some(ByteRange::Bounded { first: 2, last: 4 }));
        assert_eq!(range("Bytes=2-"), Some(ByteRange::From(2)));
        assert_eq!(range("bytes=-3"), Some(ByteRange::Suffix(3)));
        assert_eq!(range("bytes=-0"), Some(ByteRange::Suffix(0)));
        assert_eq!(range("bytes=2-99999999999999999999"), Some(ByteRange::Bounded { first: 2, last: u64::MAX }));
        let nones =
            ["bytes=4-2", "bytes=0-1,3-4", "bytes=-", "bytes=a-b", "lines=1-2", "bytes", "bytes=1 - 2", "bytes=+1-2"];
        for none in nones {
            assert_eq!(range(none), None, "{none}");
        }
    }

    #[test]
    fn a_range_is_meant_for_the_very_bytes() {
        let (soon, late) = (WRITTEN.plus(Duration::from_millis(300)), WRITTEN.plus(Duration::from_secs(100)));
        let is_meant = |value, now| if_range_matches(&headers(header::IF_RANGE, value), "x", WRITTEN, now);
        assert!(if_range_matches(&HeaderMap::new(), "x", WRITTEN, soon));
        assert!(is_meant("\"x\"", soon));
        assert!(is_meant(THAT_SECOND, late));
        assert!(!is_meant(THAT_SECOND, soon), "another write may come in that second");
        for other in ["\"y\"", "W/\"x\"", EARLIER, "\"x-plain\""] {
            assert!(!is_meant(other, late), "{other}");
        }
    }
}
