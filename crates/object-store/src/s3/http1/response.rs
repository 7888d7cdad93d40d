//! A response: its head, parsed once, and its body, still to be read by the framing that the head announces.

use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use larder_runtime::{clock::Clock, telemetry::CallCost};

use super::{
    connection::{Connection, Pool},
    exchange::{Http1Error, Phase},
};
use crate::{BodyError, ByteStream};

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The head.
    pub head: Head,
    body: ResponseBody,
}

/// The body of a response. When it has been read to its end, the connection goes back to the pool; when it is dropped
/// before, the connection is closed, since unread bytes may still come.
#[derive(Debug)]
struct ResponseBody {
    connection: Option<Connection>,
    framing: Framing,
    is_kept: bool,
    stall_limit: Duration,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    /// Cost of the call, if it is accounted.
    call_cost: Option<CallCost>,
}

impl Response {
    /// Returns the response whose head has come over `connection`; `is_kept` unless the connection must not be reused.
    pub(super) fn new(
        head: Head,
        framing: Framing,
        mut connection: Connection,
        is_kept: bool,
        stall_limit: Duration,
        (pool, clock): (&Arc<Pool>, &Arc<dyn Clock>),
        call_cost: Option<CallCost>,
    ) -> Self {
        let (pool, clock) = (Arc::clone(pool), Arc::clone(clock));
        connection.deadline.reset(stall_limit);
        let connection = Some(connection);
        let mut body = ResponseBody { connection, framing, is_kept, stall_limit, pool, clock, call_cost };
        body.end_if_over();
        Self { head, body }
    }

    /// Returns the body as a stream.
    pub fn into_stream(mut self) -> ByteStream {
        let length = self.body.framing.length();
        // A complete body needs no stream.
        match self.body.whole() {
            Some(bytes) => ByteStream::from(bytes),
            None => ByteStream::new(length, self.body),
        }
    }

    /// Reads the whole body, at most `limit` bytes.
    pub async fn into_bytes(self, limit: u64) -> Result<Bytes, Http1Error> {
        if self.body.connection.is_none() {
            return Ok(Bytes::new());
        }
        self.into_stream().into_bytes(limit).await.map_err(|error| match error {
            BodyError::TooLarge { .. } => Http1Error::Malformed("its body is too long"),
            BodyError::Aborted
            | BodyError::Stalled
            | BodyError::TooSlow
            | BodyError::NoMemory
            | BodyError::Malformed(_)
            | BodyError::Storage(_) => Http1Error::Broken { phase: Phase::Sent, source: io::Error::other(error) },
        })
    }
}

impl ResponseBody {
    /// Returns the whole body, if it has come together with its head.
    fn whole(&mut self) -> Option<Bytes> {
        let Some(connection) = &mut self.connection else {
            return Some(Bytes::new());
        };
        let length = usize::try_from(self.framing.length()?).ok()?;
        if length > connection.input.len() {
            return None;
        }
        let bytes = self.framing.take(&mut connection.input).ok()??;
        self.count(bytes.len());
        self.end_if_over();
        Some(bytes)
    }

    fn count(&mut self, bytes: usize) {
        if let Some(call_cost) = &mut self.call_cost {
            call_cost.add_received(bytes);
        }
    }

    fn end_if_over(&mut self) {
        if self.framing.is_over()
            && let Some(mut connection) = self.connection.take()
            && self.is_kept
            && connection.input.is_empty()
        {
            // The block belongs to the returned bytes; an idle connection needs none.
            connection.input = BytesMut::new();
            self.pool.put(connection, self.clock.monotonic());
        }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Http1Error>>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            match self.framing.take(&mut connection.input) {
                Ok(Some(bytes)) => {
                    self.count(bytes.len());
                    self.end_if_over();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Ok(None) => {}
                Err(error) => return self.fail(error),
            }
            self.end_if_over();
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            match connection.poll_read(context, self.framing.read_hint()) {
                Poll::Ready(Ok(0)) if self.framing.may_close() => {
                    self.connection = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(0)) => return self.fail(broken(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => connection.deadline.reset(self.stall_limit),
                Poll::Ready(Err(error)) => return self.fail(broken(error)),
                Poll::Pending => {
                    ready!(connection.deadline.poll_expired(context));
                    return self.fail(Http1Error::Timeout { phase: Phase::Sent });
                }
            }
        }
    }

    fn fail(&mut self, error: Http1Error) -> Poll<Option<Result<Bytes, Http1Error>>> {
        self.connection = None;
        Poll::Ready(Some(Err(error)))
    }
}

fn broken(source: io::Error) -> Http1Error {
    Http1Error::Broken { phase: Phase::Sent, source }
}

impl Stream for ResponseBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = ready!(self.poll_chunk(context));
        Poll::Ready(chunk.map(|chunk| chunk.map_err(|error| BodyError::Storage(error.into()))))
    }
}

/// Maximum bytes of a head.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Maximum number of header fields.
const MAX_HEADER_FIELDS: usize = 64;

/// First bytes of the response of a TLS server to plain HTTP.
const TLS_ALERT: &[u8] = &[0x15, 0x03];

/// Explanation of such a response.
const EXPECTS_TLS: &str = "it is a TLS record: the port expects HTTPS, so let the endpoint begin with https://";

/// The head of a response.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status code.
    pub status: u16,
    is_http_10: bool,
    bytes: Bytes,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Head {
    /// Takes a head off the front of `input`; `None` while it is incomplete.
    pub fn take(input: &mut BytesMut) -> Result<Option<Self>, Http1Error> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADER_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(input).map_err(|_| {
            let what = if input.starts_with(TLS_ALERT) { EXPECTS_TLS } else { "its head is not HTTP" };
            Http1Error::Malformed(what)
        })?;
        let too_long = Http1Error::Malformed("its head is too long");
        let httparse::Status::Complete(length) = parsed else {
            return if input.len() > MAX_HEAD_BYTES { Err(too_long) } else { Ok(None) };
        };
        if length > MAX_HEAD_BYTES {
            return Err(too_long);
        }
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

    /// Returns the value of the first field with this name, in any letter case; also `None` if it is not text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the text values of all fields with this name. Most fields of a head are never needed, so only names are
    /// compared.
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.named(name).filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// Returns the values of all fields with this name.
    fn named(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let has_name = |known: &Range<usize>| {
            known.len() == name.len() && self.bytes[known.clone()].eq_ignore_ascii_case(name.as_bytes())
        };
        self.fields.iter().filter(move |(known, _)| has_name(known)).map(|(_, value)| &self.bytes[value.clone()])
    }

    /// Returns all fields whose values are text.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = |range: &Range<usize>| std::str::from_utf8(&self.bytes[range.clone()]).ok();
        self.fields.iter().filter_map(move |(name, value)| Some((text(name)?, text(value)?)))
    }

    /// Returns whether another head follows this one.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// Returns whether the server keeps the connection after the body. (RFC 9112, section 9.3.)
    pub fn keeps_connection(&self) -> bool {
        let says = |word: &str| {
            let mut options = self.all("connection").flat_map(|value| value.split(','));
            options.any(|option| option.trim().eq_ignore_ascii_case(word))
        };
        !says("close") && (!self.is_http_10 || says("keep-alive"))
    }

    /// Returns the framing of the body. (RFC 9112, section 6.3.)
    pub fn framing(&self, answers_head: bool) -> Result<Framing, Http1Error> {
        if answers_head || matches!(self.status, 204 | 304) {
            return Ok(Framing::with_length(0));
        }
        let mut codings = self.named("transfer-encoding");
        if let Some(coding) = codings.next() {
            return if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") && codings.next().is_none() {
                Ok(Framing::chunked())
            } else {
                Err(Http1Error::Malformed("its Transfer-Encoding is unknown"))
            };
        }
        let mut lengths = self.named("content-length");
        let Some(length) = lengths.next() else {
            return Ok(Framing::until_close());
        };
        if lengths.any(|other| other != length) {
            return Err(Http1Error::Malformed("it has two different Content-Length fields"));
        }
        let is_number = length.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok()).filter(|_| is_number);
        length.map(Framing::with_length).ok_or(Http1Error::Malformed("its Content-Length is not a number"))
    }
}

/// Maximum length of a line between two chunks, including extensions and trailers.
const MAX_LINE_BYTES: usize = 4096;

/// Maximum length of all trailers together.
const MAX_TRAILER_BYTES: usize = MAX_HEAD_BYTES;

/// The rest of a body.
#[derive(Debug)]
pub struct Framing(Remaining);

#[derive(Debug)]
enum Remaining {
    /// This many bytes.
    Bytes(u64),
    /// Chunks.
    Chunks(Chunk),
    /// All bytes until the server closes.
    UntilClose,
}

#[derive(Debug, Clone, Copy)]
enum Chunk {
    /// The line with a chunk's size is next.
    Size,
    /// The remaining bytes of a chunk.
    Data(u64),
    /// The line break after a chunk is next.
    End,
    /// Trailers are next, up to an empty line, after trailers of this many bytes.
    Trailers(usize),
    /// The body has ended.
    Done,
}

impl Framing {
    /// Returns the framing of a body of `length` bytes.
    pub fn with_length(length: u64) -> Self {
        Self(Remaining::Bytes(length))
    }

    /// Returns the framing of a chunked body.
    pub fn chunked() -> Self {
        Self(Remaining::Chunks(Chunk::Size))
    }

    /// Returns the framing of a body that ends when the server closes.
    pub fn until_close() -> Self {
        Self(Remaining::UntilClose)
    }

    /// Returns the whole length, if the head had it and nothing was taken yet.
    pub fn length(&self) -> Option<u64> {
        match self.0 {
            Remaining::Bytes(length) => Some(length),
            Remaining::Chunks(_) | Remaining::UntilClose => None,
        }
    }

    /// Returns whether the body has ended, and the connection is at the start of the next response.
    pub fn is_over(&self) -> bool {
        matches!(self.0, Remaining::Bytes(0) | Remaining::Chunks(Chunk::Done))
    }

    /// Returns whether the server may close now without truncating the body.
    pub fn may_close(&self) -> bool {
        matches!(self.0, Remaining::UntilClose)
    }

    /// Returns how many bytes are worth reading at once.
    pub fn read_hint(&self) -> u64 {
        match self.0 {
            Remaining::Bytes(length) | Remaining::Chunks(Chunk::Data(length)) => length,
            Remaining::Chunks(_) => 0,
            Remaining::UntilClose => u64::MAX,
        }
    }

    /// Takes the available bytes of the body off the front of `input`; `None` if more must be read.
    pub fn take(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Http1Error> {
        match &mut self.0 {
            Remaining::Bytes(left) => Ok(take_up_to(left, input)),
            Remaining::UntilClose => Ok((!input.is_empty()).then(|| input.split().freeze())),
            Remaining::Chunks(chunk) => loop {
                match chunk {
                    Chunk::Data(left) => {
                        let taken = take_up_to(left, input);
                        if *left == 0 {
                            *chunk = Chunk::End;
                        }
                        return Ok(taken);
                    }
                    Chunk::Done => return Ok(None),
                    Chunk::Size | Chunk::End | Chunk::Trailers(_) => {
                        let Some(line) = take_line(input)? else { return Ok(None) };
                        *chunk = next_state(*chunk, &line)?;
                    }
                }
            },
        }
    }
}

fn take_up_to(left: &mut u64, input: &mut BytesMut) -> Option<Bytes> {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    if length == 0 {
        return None;
    }
    *left -= length as u64;
    Some(input.split_to(length).freeze())
}

fn take_line(input: &mut BytesMut) -> Result<Option<BytesMut>, Http1Error> {
    match input.iter().take(MAX_LINE_BYTES).position(|byte| *byte == b'\n') {
        Some(end) => {
            let mut line = input.split_to(end + 1);
            line.truncate(end);
            if line.last() == Some(&b'\r') {
                line.truncate(end - 1);
            }
            Ok(Some(line))
        }
        None if input.len() >= MAX_LINE_BYTES => Err(Http1Error::Malformed("a line between chunks is too long")),
        None => Ok(None),
    }
}

/// Returns the state after a line that is no data.
fn next_state(chunk: Chunk, line: &[u8]) -> Result<Chunk, Http1Error> {
    match chunk {
        Chunk::Size => {
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let text =
                std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let size = text.and_then(|text| u64::from_str_radix(text, 16).ok());
            match size.ok_or(Http1Error::Malformed("a chunk size is not a number"))? {
                0 => Ok(Chunk::Trailers(0)),
                size => Ok(Chunk::Data(size)),
            }
        }
        Chunk::End if line.is_empty() => Ok(Chunk::Size),
        Chunk::End => Err(Http1Error::Malformed("a chunk is longer than its size")),
        Chunk::Trailers(_) if line.is_empty() => Ok(Chunk::Done),
        Chunk::Trailers(read) if read + line.len() > MAX_TRAILER_BYTES => {
            Err(Http1Error::Malformed("its trailers are too long"))
        }
        Chunk::Trailers(read) => Ok(Chunk::Trailers(read + line.len())),
        Chunk::Data(_) | Chunk::Done => Ok(chunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str) -> Result<Option<Head>, Http1Error> {
        Head::take(&mut BytesMut::from(text))
    }

    #[test]
    fn a_complete_head_is_taken_and_the_rest_stays() {
        let mut input = BytesMut::from("HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\nbody");
        let head = Head::take(&mut input).expect("it is well-formed").expect("it is whole");
        assert_eq!((head.status, head.get("etag"), &input[..]), (200, Some("\"a\""), &b"body"[..]));
        assert!(take("HTTP/1.1 200 OK\r\nETag: ").expect("it may go on").is_none());
    }

    #[test]
    fn a_head_that_is_not_http_or_does_not_end_is_refused() {
        assert!(take("SSH-2.0-OpenSSH\r\n\r\n").is_err());
        // The same if all of it comes at once.
        for end in ["", "\r\n\r\n"] {
            assert!(take(&format!("HTTP/1.1 200 OK\r\na: {}{end}", "x".repeat(MAX_HEAD_BYTES))).is_err());
        }
    }

    #[test]
    fn a_connection_is_kept_unless_the_server_says_otherwise() {
        let keeps = |text: &str| take(text).expect("well-formed").expect("whole").keeps_connection();
        assert!(keeps("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n"));
        assert!(!keeps("HTTP/1.0 200 OK\r\n\r\n"));
        assert!(keeps("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
        // Each of several fields counts, and "close" wins.
        assert!(!keeps("HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: y, close\r\n\r\n"));
        assert!(keeps("HTTP/1.0 200 OK\r\nConnection: x\r\nConnection: keep-alive\r\n\r\n"));
        assert!(!keeps("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"));
    }

    #[test]
    fn ambiguous_framing_is_rejected() {
        let framing = |text: &str| take(text).expect("well-formed").expect("whole").framing(false);
        assert!(framing("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n").is_err());
        assert!(framing("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n").is_err());
        assert!(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n").is_err());
        let codings = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n";
        assert!(framing(codings).is_err());
    }

    #[test]
    fn a_framing_field_that_is_not_text_is_rejected() {
        for field in ["Transfer-Encoding: chunked\u{e9}", "Content-Length: \u{e9}"] {
            let mut text = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n{field}\r\n\r\n").into_bytes();
            // Half of a character.
            text.retain(|byte| *byte != 0xA9);
            let head = Head::take(&mut BytesMut::from(&text[..])).expect("well-formed").expect("whole");
            assert!(head.framing(false).is_err(), "{field}");
        }
    }

    /// Returns all bytes taken when the text arrives in pieces of `piece` bytes, and whether the body has ended.
    fn take_all(mut framing: Framing, text: &[u8], piece: usize) -> Result<(Vec<u8>, bool, usize), Http1Error> {
        let (mut taken, mut input) = (Vec::new(), BytesMut::new());
        for part in text.chunks(piece) {
            input.extend_from_slice(part);
            while let Some(bytes) = framing.take(&mut input)? {
                taken.extend_from_slice(&bytes);
            }
        }
        Ok((taken, framing.is_over(), input.len()))
    }

    #[test]
    fn chunks_are_put_together_however_they_arrive() {
        let text = b"5;name=value\r\nhello\r\n1\r\n \r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext";
        for piece in 1..text.len() {
            let (taken, is_over, left) = take_all(Framing::chunked(), text, piece).expect("it is well-formed");
            assert_eq!((&taken[..], is_over, left), (&b"hello 0123456789"[..], true, 4), "pieces of {piece}");
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for text in ["x\r\n", "\r\n", "-1\r\n", "+1\r\n", "1\r\nab\r\n", "FFFFFFFFFFFFFFFFF\r\n"] {
            assert!(take_all(Framing::chunked(), text.as_bytes(), 64).is_err(), "{text:?}");
        }
        assert!(take_all(Framing::chunked(), &[b'1'; MAX_LINE_BYTES], 64).is_err());
        let endless = format!("0\r\n{}", "a: b\r\n".repeat(MAX_TRAILER_BYTES / 4 + 1));
        assert!(take_all(Framing::chunked(), endless.as_bytes(), 64).is_err());
    }

    #[test]
    fn a_body_ends_at_its_length() {
        let (taken, is_over, left) = take_all(Framing::with_length(3), b"abcd", 2).expect("it is well-formed");
        assert_eq!((&taken[..], is_over, left), (&b"abc"[..], true, 1));
    }
}
