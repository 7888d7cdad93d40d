//! Content type, content coding and file name of a record (RFC 9110, sections 8 and 12).

use http::{HeaderMap, HeaderValue, header};

use crate::kv::ContentCoding;

use super::error::ApiError;

/// Media type of a record that was sent without one.
const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";

/// Returns the media type to store, exactly as sent.
pub fn content_type(headers: &HeaderMap) -> Result<String, ApiError> {
    let malformed = || {
        let message = "The Content-Type header must be a media type, such as text/plain; charset=utf-8";
        ApiError::bad_request("invalid-content-type-header", message)
    };
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(value) = values.next() else { return Ok(DEFAULT_CONTENT_TYPE.to_owned()) };
    let text = value.to_str().map_err(|_| malformed())?;
    if text.trim().is_empty() {
        return Ok(DEFAULT_CONTENT_TYPE.to_owned());
    }
    if values.next().is_some() || !is_media_type(essence(text)) {
        return Err(malformed());
    }
    Ok(text.to_owned())
}

/// Returns the content coding of a body.
pub fn content_coding(headers: &HeaderMap) -> Result<Option<ContentCoding>, ApiError> {
    let values: Vec<_> = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes).collect();
    // Trims the whitespace of headers, not all of Unicode's.
    let name = String::from_utf8_lossy(&values.join(&b", "[..])).trim_matches([' ', '\t']).to_owned();
    if name.is_empty() || name.eq_ignore_ascii_case("identity") {
        return Ok(None);
    }
    ContentCoding::parse(&name).map(Some).ok_or_else(|| ApiError::unsupported_coding(&name))
}

/// Returns the file name for a record: its key, except for the two keys that name folders. No key contains a `%`, so no
/// two records share a name.
pub fn file_name(key: &str) -> &str {
    match key {
        "." => "%2E",
        ".." => "%2E%2E",
        key => key,
    }
}

/// Returns the disposition for saving a file of this name. Every character of a key is allowed in a quoted string (RFC
/// 9110, 5.6.4).
pub fn attachment(file_name: &str) -> HeaderValue {
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{file_name}\""));
    disposition.unwrap_or(HeaderValue::from_static("attachment"))
}

/// Returns the media type without its parameters.
pub fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Returns whether the text is two tokens separated by a slash (RFC 9110, 8.3.1).
fn is_media_type(essence: &str) -> bool {
    let is_token = |text: &str| {
        let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(in_token)
    };
    essence.split_once('/').is_some_and(|(kind, subkind)| is_token(kind) && is_token(subkind))
}

/// Returns whether the client accepts a body in `coding`. Without the header it accepts none: the Rust client and curl
/// send no `Accept-Encoding` and do not decode.
pub fn accepts(headers: &HeaderMap, coding: ContentCoding) -> bool {
    let mut by_star = false;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        let Ok(value) = value.to_str() else { continue };
        for item in value.split(',') {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let name = name.trim();
            if ContentCoding::parse(name) == Some(coding) {
                return is_accepted(parameters);
            }
            if name == "*" {
                by_star = is_accepted(parameters);
            }
        }
    }
    by_star
}

/// Returns whether a weight is above zero. An invalid weight is ignored.
fn is_accepted(parameters: &str) -> bool {
    let weight = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().ok())?
    });
    weight.is_none_or(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().expect("a valid header"))).collect()
    }

    #[test]
    fn a_media_type_is_kept_to_the_letter_and_a_bad_one_refused() {
        let stored = |values: &[&str]| content_type(&headers(&header::CONTENT_TYPE, values)).ok();
        for text in ["text/plain;charset=UTF-8", "Text/HTML ; a=\"b c\"", "application/vnd.x+json"] {
            assert_eq!(stored(&[text]).as_deref(), Some(text));
        }
        assert_eq!(
            [&[][..], &[""], &[" "]].map(stored),
            [const { Some(DEFAULT_CONTENT_TYPE) }; 3].map(|text| text.map(str::to_owned))
        );
        for bad in [&["text"][..], &["text/"], &["/plain"], &["te xt/plain"], &["text/plain", "text/html"]] {
            assert_eq!(stored(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn one_known_coding_is_taken_in_any_letter_case() {
        let coding = |values: &[&str]| content_coding(&headers(&header::CONTENT_ENCODING, values)).ok();
        assert_eq!([&[][..], &["identity"], &[""]].map(coding), [Some(None); 3]);
        assert_eq!(coding(&["GZIP"]), Some(Some(ContentCoding::Gzip)));
        assert_eq!([&["zstd"][..], &["gzip, br"], &["gzip", "br"], &["bla"]].map(coding), [None; 4]);
    }

    #[test]
    fn a_file_is_named_after_its_key_but_never_a_place() {
        assert_eq!(attachment(file_name("my!key'(v1).json")), "attachment; filename=\"my!key'(v1).json\"");
        assert_eq!(attachment(file_name("..")), "attachment; filename=\"%2E%2E\"");
    }

    fn accepts_gzip(accept_encoding: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, accept_encoding.parse().expect("a valid header"));
        accepts(&headers, ContentCoding::Gzip)
    }

    #[test]
    fn a_coding_is_taken_if_it_is_named_or_starred_with_a_weight() {
        for yes in
            ["gzip", "br, GZIP", "x-gzip", "gzip;q=0.5", "*", "*;q=0.1", "br;q=0, *", "gzip, *;q=0", "gzip ; Q=1"]
        {
            assert!(accepts_gzip(yes), "{yes}");
        }
        for no in ["", "br", "identity", "gzip;q=0", "gzip; q=0.000", "gzip;q=0, *", "*;q=0", "gzipped"] {
            assert!(!accepts_gzip(no), "{no}");
        }
        assert!(!accepts(&HeaderMap::new(), ContentCoding::Gzip));
    }
}
