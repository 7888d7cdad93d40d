//! Invariants of content encodings.

use std::sync::Arc;

use async_compression::{
    Level,
    tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder},
};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use larder::{
    kv::ContentCoding,
    storage::{BodyError, ByteStream, MemoryBudget},
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Maximum number of bytes decoded from a body; lower than in the program.
const DECODED_LIMIT: u64 = 64 * 1024;

/// Checks that decoding never exceeds the limit, does not depend on how the body is split, and reverses encoding. The
/// first byte selects the coding.
pub fn coding(bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let coding = ContentCoding::ALL[usize::from(*choice) % ContentCoding::ALL.len()];
    let whole = decoded(coding, body, body.len().max(1));
    for piece in [1, 7] {
        match (&whole, decoded(coding, body, piece)) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, &pieces),
            (Err(one), Err(other)) => assert_eq!(
                matches!(one, BodyError::TooLarge { .. }),
                matches!(other, BodyError::TooLarge { .. }),
                "{one} {other}"
            ),
            (one, other) => panic!("whole: {one:?}, in pieces of {piece}: {other:?}"),
        }
    }
    let members = body.split_at(body.len() / 2);
    let members = [members.0, members.1].map(|member| encoded(ContentCoding::Gzip, member)).concat();
    assert_eq!(decoded(ContentCoding::Gzip, &members, 5).expect("it was encoded"), body);
    for coding in ContentCoding::ALL {
        let encoded = encoded(coding, body);
        assert_eq!(decoded(coding, &encoded, 5).expect("it was encoded"), body, "{coding:?}");
        assert_eq!(ContentCoding::parse(coding.as_str()), Some(coding));
    }
}

fn decoded(coding: ContentCoding, body: &[u8], piece: usize) -> Result<Bytes, BodyError> {
    let pieces: Vec<_> = body.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let decoded = coding
        .decode(ByteStream::new(None, stream::iter(pieces)), Arc::new(MemoryBudget::default()).lease())
        .into_bytes(DECODED_LIMIT);
    let decoded = decoded.now_or_never().expect("all of it is there");
    assert!(decoded.as_ref().map_or(0, |bytes| bytes.len() as u64) <= DECODED_LIMIT);
    decoded
}

fn encoded(coding: ContentCoding, text: &[u8]) -> Vec<u8> {
    fn all<W: AsyncWrite + Unpin>(mut encoder: W, text: &[u8]) -> W {
        encoder.write_all(text).now_or_never().expect("memory takes all").expect("memory takes all");
        encoder.shutdown().now_or_never().expect("memory takes all").expect("memory takes all");
        encoder
    }
    let level = Level::Fastest;
    match coding {
        ContentCoding::Gzip => all(GzipEncoder::with_quality(Vec::new(), level), text).into_inner(),
        ContentCoding::Brotli => all(BrotliEncoder::with_quality(Vec::new(), level), text).into_inner(),
        ContentCoding::Deflate => all(ZlibEncoder::with_quality(Vec::new(), level), text).into_inner(),
    }
}
