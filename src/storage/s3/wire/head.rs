//! The head of an answer: parsed once, kept as the bytes that came, looked up by name.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{error::WireError, framing::Framing};

/// The most bytes of a head.
const HEAD_LIMIT: usize = 32 * 1024;

/// The most header fields of a head.
const FIELDS_LIMIT: usize = 64;

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status code.
    pub status: u16,
    is_http_10: bool,
    bytes: Bytes,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Head {
    /// Takes a head off the front of `input`; `None` while there is not all of it.
    pub fn take(input: &mut BytesMut) -> Result<Option<Self>, WireError> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_LIMIT];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(input).map_err(|_| WireError::Malformed("its head cannot be read"))?;
        let httparse::Status::Complete(length) = parsed else {
            return if input.len() > HEAD_LIMIT { Err(WireError::Malformed("its head is too long")) } else { Ok(None) };
        };
        let status = response.code.unwrap_or_default();
        let is_http_10 = response.version == Some(0);
        let start = input.as_ptr().addr();
        let place = |part: &[u8]| {
            let at = part.as_ptr().addr() - start;
            at..at + part.len()
        };
        let fields = response.headers.iter().map(|field| (place(field.name.as_bytes()), place(field.value))).collect();
        Ok(Some(Self { status, is_http_10, bytes: input.split_to(length).freeze(), fields }))
    }

    /// The value of the first field of this name, in any letter case; `None` also when it is not text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all fields of this name that are text. Most fields of a head are never asked for, so that none is
    /// looked at more closely than its name.
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let has_name = |known: &Range<usize>| {
            known.len() == name.len() && self.bytes[known.clone()].eq_ignore_ascii_case(name.as_bytes())
        };
        let named = self.fields.iter().filter(move |(known, _)| has_name(known));
        named.filter_map(|(_, value)| std::str::from_utf8(&self.bytes[value.clone()]).ok())
    }

    /// All fields whose values are text.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = |range: &Range<usize>| std::str::from_utf8(&self.bytes[range.clone()]).ok();
        self.fields.iter().filter_map(move |(name, value)| Some((text(name)?, text(value)?)))
    }

    /// Whether this only announces another head.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// Whether the server keeps the connection after the body.
    pub fn keeps_connection(&self) -> bool {
        let says = |word: &str| {
            let tokens = self.get("connection").unwrap_or_default().split(',');
            tokens.into_iter().any(|token| token.trim().eq_ignore_ascii_case(word))
        };
        if self.is_http_10 { says("keep-alive") } else { !says("close") }
    }

    /// How the body's end is found. (RFC 9112, section 6.3.)
    pub fn framing(&self, answers_head: bool) -> Result<Framing, WireError> {
        if answers_head || matches!(self.status, 204 | 304) {
            return Ok(Framing::of_length(0));
        }
        if let Some(coding) = self.get("transfer-encoding") {
            return if coding.trim().eq_ignore_ascii_case("chunked") {
                Ok(Framing::chunked())
            } else {
                Err(WireError::Malformed("its transfer coding is unknown"))
            };
        }
        let mut lengths = self.all("content-length");
        let Some(length) = lengths.next() else {
            return Ok(Framing::until_close());
        };
        if lengths.any(|other| other != length) {
            return Err(WireError::Malformed("it has two lengths"));
        }
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.parse().ok().filter(|_| is_number);
        length.map(Framing::of_length).ok_or(WireError::Malformed("its length is no number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str) -> Result<Option<Head>, WireError> {
        Head::take(&mut BytesMut::from(text))
    }

    #[test]
    fn a_head_is_taken_when_it_is_there_and_what_follows_stays() {
        let mut input = BytesMut::from("HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\nbody");
        let head = Head::take(&mut input).expect("it is well-formed").expect("it is whole");
        assert_eq!((head.status, head.get("etag"), &input[..]), (200, Some("\"a\""), &b"body"[..]));
        assert!(take("HTTP/1.1 200 OK\r\nETag: ").expect("it may go on").is_none());
    }

    #[test]
    fn a_head_that_is_not_http_or_does_not_end_is_refused() {
        assert!(take("SSH-2.0-OpenSSH\r\n\r\n").is_err());
        assert!(take(&format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(HEAD_LIMIT))).is_err());
    }

    #[test]
    fn a_connection_is_kept_unless_the_server_says_otherwise() {
        let keeps = |text: &str| take(text).expect("well-formed").expect("whole").keeps_connection();
        assert!(keeps("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n"));
        assert!(!keeps("HTTP/1.0 200 OK\r\n\r\n"));
        assert!(keeps("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn a_body_whose_end_is_in_doubt_is_refused() {
        let framing = |text: &str| take(text).expect("well-formed").expect("whole").framing(false);
        assert!(framing("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n").is_err());
        assert!(framing("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n").is_err());
        assert!(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n").is_err());
    }
}
