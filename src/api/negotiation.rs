//! Content codings that a client accepts (RFC 9110, 12.5.3).

use http::{HeaderMap, header};

use crate::kv::ContentCoding;

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
                return is_wanted(parameters);
            }
            if name == "*" {
                by_star = is_wanted(parameters);
            }
        }
    }
    by_star
}

/// Returns whether a weight is above zero. An invalid weight is ignored.
fn is_wanted(parameters: &str) -> bool {
    let weight = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().ok())?
    });
    weight.is_none_or(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
