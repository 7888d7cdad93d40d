//! The path of a request for logs, without segments that may hold a secret.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Replacement of a redacted segment.
const REDACTED: &str = "[redacted]";

/// Maximum length of a logged path in bytes.
const MAX_LENGTH: usize = 1024;

/// Prefixes of tokens: Larder's own, and the platform's, which a client may send by mistake.
const TOKEN_PREFIXES: [&str; 2] = ["larder_", "apify_api_"];

/// Minimum number of characters after such a prefix for a text to count as a token, whole or cut.
const MIN_TOKEN_CHARACTERS: usize = 16;

/// Characters that no id, name or key contains, but a query or the credentials of a URL encoded into the path do.
const CHARACTERS_OF_URLS: [char; 5] = ['@', ':', '=', '?', '&'];

/// Length of a token id. A longer text in its place may be the token itself.
const TOKEN_ID_LENGTH: usize = 17;

/// Returns a path without secrets. It redacts tokens, `secret` (the token of the request itself), anything like an
/// encoded URL or query, and a segment in place of a token id that is none.
pub fn shown_path(path: &str, secret: Option<&str>) -> String {
    let mut shown = String::with_capacity(path.len().min(MAX_LENGTH));
    let mut is_token_id = false;
    for (number, segment) in path.split('/').enumerate() {
        if number > 0 {
            shown.push('/');
        }
        if shown.len() + segment.len() > MAX_LENGTH {
            shown.push('…');
            break;
        }
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        let is_secret = is_token_id && !is_id(&decoded) || may_hold_secret(&decoded, secret);
        let is_printable = !segment.contains(char::is_control);
        let segment = if is_secret { REDACTED.into() } else { Cow::Borrowed(segment) };
        shown.push_str(if is_printable { &segment } else { REDACTED });
        is_token_id = decoded == "tokens";
    }
    shown
}

fn is_id(segment: &str) -> bool {
    segment.len() == TOKEN_ID_LENGTH && segment.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn may_hold_secret(segment: &str, secret: Option<&str>) -> bool {
    segment.contains(CHARACTERS_OF_URLS)
        || secret.is_some_and(|secret| !secret.is_empty() && segment.contains(secret))
        || TOKEN_PREFIXES.iter().any(|prefix| has_token(segment, prefix))
}

fn has_token(segment: &str, prefix: &str) -> bool {
    segment.split(prefix).skip(1).any(|rest| {
        rest.bytes().take_while(u8::is_ascii_alphanumeric).take(MIN_TOKEN_CHARACTERS).count() == MIN_TOKEN_CHARACTERS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_they_are_but_for_what_may_be_secret() {
        let token = "larder_0123456789ABCDEFGHIJKLMNOPQRST0CtHMn";
        for (path, expected) in [
            ("/", "/"),
            (
                "/v2/key-value-stores/jane~shop/records/a!-_.'()Z9%21",
                "/v2/key-value-stores/jane~shop/records/a!-_.'()Z9%21",
            ),
            ("/v2/key-value-stores/S/records/larder_notes", "/v2/key-value-stores/S/records/larder_notes"),
            ("/larder/v1/tokens/WkzbQMuFYuamGv3YF/replace", "/larder/v1/tokens/WkzbQMuFYuamGv3YF/replace"),
            ("/larder/v1/tokens/of-any-form", "/larder/v1/tokens/[redacted]"),
            ("/v2/users/my-own-token", "/v2/users/[redacted]"),
            ("/v2/users/my%2Down-token", "/v2/users/[redacted]"),
            ("/https%3A%2F%2Fjane%3Asalt@host%2Fx/y", "/[redacted]/y"),
            ("/v2/users/me%3Ftoken%3Dsalt", "/v2/users/[redacted]"),
            ("/v2/users/me&signature=salt", "/v2/users/[redacted]"),
            ("/a\u{9b}b", "/[redacted]"),
        ] {
            assert_eq!(shown_path(path, Some("my-own-token")), expected, "{path}");
        }
        for given in [token, &token[..30], "apify_api_0123456789abcdefghijklmnopqrstuvwxyz"] {
            for path in [format!("/v2/users/{given}"), format!("/a/x{given}y/b"), given.replace('_', "%5F")] {
                let shown = shown_path(&path, None);
                assert!(shown.contains(REDACTED) && !shown.contains("0123456789"), "{path}: {shown}");
            }
        }
        let long = shown_path(&format!("/a/{}", "b".repeat(2000)), None);
        assert_eq!(long, "/a/…");
    }
}
