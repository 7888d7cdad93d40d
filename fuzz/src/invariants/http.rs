//! Invariants of HTTP responses and of servers' addresses.

use bytes::BytesMut;
use larder_object_store::s3::{
    Endpoint,
    internals::{Framing, Head},
};

/// Maximum bytes of a head, and between two chunks: the parser never waits for more.
const PATIENCE_BYTES: usize = 64 * 1024;

/// Maximum number of pieces into which bytes are cut.
const MOST_PIECES: usize = 500;

/// Result of a response: the status, the fields, the body, whether it has ended, and how many bytes are left; nothing
/// if it was refused.
type Answered = Option<(u16, Vec<(String, String)>, Vec<u8>, bool, usize)>;

/// Checks that a response is the same however its bytes are cut, and that its body is never longer than announced.
pub fn answer(bytes: &[u8]) {
    let whole = answered(bytes, bytes.len().max(1));
    for piece in pieces(bytes) {
        assert_eq!(answered(bytes, piece), whole, "in pieces of {piece}");
    }
}

/// Checks that a chunked body is the same however its bytes are cut.
pub fn chunks(bytes: &[u8]) {
    let whole = framed(Framing::chunked(), bytes, bytes.len().max(1));
    for piece in pieces(bytes) {
        assert_eq!(framed(Framing::chunked(), bytes, piece), whole, "in pieces of {piece}");
    }
    // A body written in chunks comes back unchanged.
    let mut written: Vec<u8> = Vec::new();
    for chunk in bytes.chunks(17) {
        written.extend(format!("{:X}\r\n", chunk.len()).bytes());
        written.extend(chunk);
        written.extend(b"\r\n");
    }
    written.extend(b"0\r\n\r\nnext");
    let (body, is_over, left) = framed(Framing::chunked(), &written, 5).expect("it is well-formed");
    assert_eq!((&body[..], is_over, left), (bytes, true, 4));
}

/// Checks that a server's address is written so that it parses to the same.
pub fn origin(bytes: &[u8]) {
    let Some(endpoint) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<Endpoint>().ok()) else { return };
    assert_eq!(endpoint.to_string().parse::<Endpoint>().as_ref(), Ok(&endpoint), "{endpoint}");
    assert!(!endpoint.authority().contains(['/', '@', '?', '#', ' ']), "{endpoint}");
    let _ = endpoint.is_address();
}

/// Returns lengths of pieces to try: small ones, but not too many, since each is checked together with all before it.
fn pieces(bytes: &[u8]) -> [usize; 3] {
    [1, 2, 13].map(|piece: usize| piece.max(bytes.len() / MOST_PIECES))
}

fn answered(bytes: &[u8], piece: usize) -> Answered {
    let mut input = BytesMut::new();
    let mut pieces = bytes.chunks(piece);
    let head = loop {
        input.extend_from_slice(pieces.next()?);
        if let Some(head) = Head::take(&mut input).ok()? {
            break head;
        }
        assert!(input.len() <= PATIENCE_BYTES, "it waits for ever");
    };
    let fields = head.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let _ = (head.is_interim(), head.keeps_connection());
    let framing = head.framing(false).ok()?;
    let length = framing.length();
    let rest = [&input[..], &pieces.collect::<Vec<_>>().concat()].concat();
    let (body, is_over, left) = framed(framing, &rest, piece)?;
    assert!(length.is_none_or(|length| body.len() as u64 <= length && is_over == (body.len() as u64 == length)));
    Some((head.status, fields, body, is_over, left))
}

fn framed(mut framing: Framing, bytes: &[u8], piece: usize) -> Option<(Vec<u8>, bool, usize)> {
    let (mut body, mut input) = (Vec::new(), BytesMut::new());
    for part in bytes.chunks(piece) {
        input.extend_from_slice(part);
        let _ = framing.read_hint();
        while let Some(taken) = framing.take(&mut input).ok()? {
            assert!(!taken.is_empty(), "no progress");
            body.extend_from_slice(&taken);
        }
        assert!(framing.is_over() || input.len() <= PATIENCE_BYTES, "it waits for ever");
    }
    Some((body, framing.is_over(), input.len()))
}
