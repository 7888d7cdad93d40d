//! Whole answers that are given without a handler: to clients that cannot be listened to, or not understood.

use super::cross_origin::exposed_fields;

/// A whole answer: what a page of another origin may read is in it, too.
macro_rules! answer {
    ($status:literal, $retry:literal, $length:literal, $text:literal) => {
        concat!(
            "HTTP/1.1 ",
            $status,
            "\r\nconnection: close\r\n",
            $retry,
            "access-control-allow-origin: *\r\naccess-control-expose-headers: ",
            exposed_fields!(),
            "\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ",
            $length,
            "\r\n\r\n",
            $text
        )
        .as_bytes()
    };
}

/// The answer where there are as many connections as may be. The client has not been listened to, so that nothing is known of its
/// request.
pub(super) const ALL_TAKEN: &[u8] = answer!(
    "503 Service Unavailable",
    "retry-after: 1\r\n",
    58,
    "This server has as many connections as it takes. Try later"
);

/// The answer to a client that has as many connections as one may have.
pub(super) const SHARE_TAKEN: &[u8] = answer!(
    "503 Service Unavailable",
    "retry-after: 1\r\n",
    62,
    "This address has as many connections as it may have. Try later"
);

/// The answer to a client that speaks plain HTTP where TLS is spoken.
pub(super) const NO_TLS: &[u8] =
    answer!("400 Bad Request", "", 58, "This port speaks HTTPS: use an address with https:// in it");

/// The answers to heads of requests that hyper refuses, by the beginning of what it would say itself.
const UNREADABLE: [(&[u8], &[u8]); 3] = [
    (b"HTTP/1.1 400 ", answer!("400 Bad Request", "", 46, "The head of the request is not one of HTTP/1.1")),
    (b"HTTP/1.1 414 ", answer!("414 URI Too Long", "", 34, "The URL of the request is too long")),
    (
        b"HTTP/1.1 431 ",
        answer!(
            "431 Request Header Fields Too Large",
            "",
            61,
            "The head of the request is longer than this server lets it be"
        ),
    ),
];

/// Returns the answer that goes out in place of `head`, if that is one that hyper gives by itself to what it cannot read. Its own have
/// neither a body nor the fields by which a page of another origin may see them.
pub(super) fn in_place_of(head: &[u8]) -> Option<&'static [u8]> {
    const NO_BODY: &[u8] = b"\r\ncontent-length: 0\r\n";
    let (_, answer) = UNREADABLE.iter().find(|(beginning, _)| head.starts_with(beginning))?;
    head.windows(NO_BODY.len()).any(|window| window == NO_BODY).then_some(*answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_says_its_own_length() {
        for answer in [ALL_TAKEN, SHARE_TAKEN, NO_TLS].into_iter().chain(UNREADABLE.map(|(_, answer)| answer)) {
            let text = String::from_utf8_lossy(answer);
            let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
            assert!(head.contains("\r\naccess-control-allow-origin: *\r\n"), "{head}");
        }
    }
}
