//! Content codings of stored records, and decoding in constant memory.

use std::io;

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder};
use bytes::Bytes;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::storage::{BodyError, ByteStream, Lease};

/// A content coding of a record's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 1950 (zlib).
    Deflate,
}

impl ContentCoding {
    /// All codings.
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Brotli, Self::Deflate];

    /// Returns the registered name of the coding.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Deflate => "deflate",
        }
    }

    /// Parses the name of a coding, in any letter case; `x-gzip` is `gzip` (RFC 9110, 8.4.1.3).
    pub fn parse(name: &str) -> Option<Self> {
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        Self::ALL.into_iter().find(|coding| coding.as_str().eq_ignore_ascii_case(name))
    }

    /// Decodes `body` as it is read. The stream ends with [`BodyError::Malformed`] if the body is not in this coding;
    /// an empty body is empty in every coding. `lease` accounts for the window's memory.
    pub fn decode(self, body: ByteStream, lease: Lease) -> ByteStream {
        let decoded = async move {
            let decoded = self.start_decoding(body, &lease).await?;
            Ok(decoded.and_then(move |chunk| std::future::ready(lease.record_progress(chunk.len()).map(|()| chunk))))
        };
        ByteStream::new(None, stream::once(decoded).try_flatten())
    }

    async fn start_decoding(
        self,
        mut body: ByteStream,
        lease: &Lease,
    ) -> Result<BoxStream<'static, Result<Bytes, BodyError>>, BodyError> {
        let mut head = Bytes::new();
        while head.len() < ZLIB_HEAD_BYTES {
            match body.next().await.transpose()? {
                Some(chunk) if head.is_empty() => head = chunk,
                Some(chunk) => head = [head, chunk].concat().into(),
                None => break,
            }
        }
        if head.is_empty() {
            return Ok(stream::empty().boxed());
        }
        if self == Self::Brotli && requests_large_window(&head) {
            return Err(BodyError::Malformed("its window is larger than RFC 7932 has any".to_owned()));
        }
        if self == Self::Brotli {
            lease.grow(window_bytes(&head)).await?;
        }
        let is_zlib = is_zlib(&head);
        let encoded = StreamReader::new(stream::iter([Ok(head)]).chain(body).map_err(io::Error::other));
        Ok(match self {
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(encoded);
                decoder.multiple_members(true);
                chunks(decoder)
            }
            Self::Brotli => chunks(BrotliDecoder::new(encoded)),
            Self::Deflate if is_zlib => chunks(ZlibDecoder::new(encoded)),
            Self::Deflate => chunks(DeflateDecoder::new(encoded)),
        })
    }
}

/// Bytes that distinguish zlib's format from a raw deflate stream.
const ZLIB_HEAD_BYTES: usize = 2;

/// Size of a decoded chunk, in bytes.
const CHUNK_BYTES: usize = 32 * 1024;

/// Returns whether bytes begin like zlib's format, which is what `deflate` means; some clients omit its wrapper (RFC
/// 9110, 8.4.1.2).
fn is_zlib(head: &[u8]) -> bool {
    matches!(head, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

/// Returns whether bytes begin like "Large Window Brotli", which no client sends as `br`. The decoder supports it,
/// and would take up to a gigabyte of memory for a few bytes that request it. RFC 7932 needs 16 MiB at most.
fn requests_large_window(head: &[u8]) -> bool {
    head.first().is_some_and(|bits| bits & 0b0111_1111 == 0b0001_0001)
}

/// Returns the window size in bytes that a Brotli stream requests in its first bits (RFC 7932, 9.1).
fn window_bytes(head: &[u8]) -> u64 {
    let first = head.first().copied().unwrap_or_default();
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, _, _) => 16,
        (_, 0, 0) => 17,
        (_, 0, more) => 8 + more,
        (_, more, _) => 17 + more,
    };
    1 << bits
}

fn chunks(decoder: impl AsyncRead + Send + 'static) -> BoxStream<'static, Result<Bytes, BodyError>> {
    ReaderStream::with_capacity(decoder, CHUNK_BYTES).map_err(reason).boxed()
}

/// Returns why decoding failed: the error of the encoded body if it broke off, else what is wrong with its bytes.
fn reason(error: io::Error) -> BodyError {
    let text = error.to_string();
    let inner = error.into_inner().and_then(|inner| inner.downcast::<BodyError>().ok());
    inner.map_or(BodyError::Malformed(text), |inner| *inner)
}

/// Metadata of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordAttributes {
    /// Media type, verbatim.
    pub content_type: String,
    /// Coding of the stored bytes, if any.
    pub content_coding: Option<ContentCoding>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_compression::{
        Level,
        tokio::write::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder},
    };
    use tokio::io::{AsyncWrite, AsyncWriteExt};

    use super::*;
    use crate::storage::MemoryBudget;

    fn lease() -> Lease {
        Arc::new(MemoryBudget::default()).lease()
    }

    #[tokio::test]
    async fn the_window_of_brotli_is_held_while_it_is_decoded() {
        let budget = Arc::new(MemoryBudget::default());
        let encoded = encode(BrotliEncoder::with_quality(Vec::new(), Level::Precise(11)), &text()).await.into_inner();
        let (half, window) = (body(&encoded[..100], 100).chain(stream::pending()), window_bytes(&encoded));
        let mut decoded = Box::pin(ContentCoding::Brotli.decode(ByteStream::new(None, half), budget.lease()));
        assert!(futures_util::poll!(decoded.next()).is_pending());
        assert!(window > 1 << 16 && budget.held() >= window - (1 << 16), "{} of {window}", budget.held());
        drop(decoded);
        assert_eq!(budget.held(), 0);
    }

    /// Returns a hundred thousand bytes with little repetition.
    fn text() -> Vec<u8> {
        (0..12_500_u64).flat_map(|number| (number * number).to_le_bytes()).collect()
    }

    async fn encode<W: AsyncWrite + Unpin>(mut encoder: W, text: &[u8]) -> W {
        encoder.write_all(text).await.expect("memory takes all");
        encoder.shutdown().await.expect("memory takes all");
        encoder
    }

    async fn encoded(coding: ContentCoding, text: &[u8]) -> Vec<u8> {
        match coding {
            ContentCoding::Gzip => encode(GzipEncoder::new(Vec::new()), text).await.into_inner(),
            ContentCoding::Brotli => encode(BrotliEncoder::new(Vec::new()), text).await.into_inner(),
            ContentCoding::Deflate => encode(ZlibEncoder::new(Vec::new()), text).await.into_inner(),
        }
    }

    fn body(bytes: &[u8], chunk: usize) -> ByteStream {
        let chunks: Vec<_> = bytes.chunks(chunk).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        ByteStream::new(None, stream::iter(chunks))
    }

    async fn decoded(coding: ContentCoding, bytes: &[u8], chunk: usize) -> Result<Bytes, BodyError> {
        coding.decode(body(bytes, chunk), lease()).into_bytes(u64::MAX).await
    }

    #[tokio::test]
    async fn what_was_encoded_comes_back_however_it_is_cut() {
        for coding in ContentCoding::ALL {
            let encoded = encoded(coding, &text()).await;
            for chunk in [1, 1000, 1 << 20] {
                assert_eq!(decoded(coding, &encoded, chunk).await.expect("valid"), text(), "{coding:?} {chunk}");
            }
        }
    }

    #[tokio::test]
    async fn deflate_is_decoded_with_and_without_the_frame_of_zlib() {
        let bare = encode(DeflateEncoder::new(Vec::new()), &text()).await.into_inner();
        assert_eq!(decoded(ContentCoding::Deflate, &bare, 1).await.expect("valid"), text());
    }

    #[tokio::test]
    async fn several_members_of_gzip_are_one_text() {
        let members =
            [encoded(ContentCoding::Gzip, b"one ").await, encoded(ContentCoding::Gzip, b"two").await].concat();
        assert_eq!(decoded(ContentCoding::Gzip, &members, 7).await.expect("valid"), "one two");
    }

    #[tokio::test]
    async fn what_is_cut_off_or_no_such_coding_is_malformed() {
        for coding in ContentCoding::ALL {
            let encoded = encoded(coding, &text()).await;
            for bytes in [&encoded[..encoded.len() / 2], &encoded[..1], b"plain text, in no coding"] {
                let decoded = decoded(coding, bytes, 100).await;
                assert!(matches!(decoded, Err(BodyError::Malformed(_))), "{coding:?}: {decoded:?}");
            }
            assert_eq!(decoded(coding, b"", 1).await.expect("no bytes are no bytes"), "");
        }
    }

    #[tokio::test]
    async fn brotli_with_a_window_beyond_the_standard_is_not_decoded() {
        let largest = [0x11, 0x1e, 0xff, 0xff, 0xff, 0x01];
        for piece in [1, 6] {
            let decoded = decoded(ContentCoding::Brotli, &largest, piece).await;
            assert!(matches!(&decoded, Err(BodyError::Malformed(text)) if text.contains("window")), "{decoded:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_keeps_its_reason() {
        for coding in ContentCoding::ALL {
            let half = encoded(coding, &text()).await[..1000].to_vec();
            let chunks = [Ok(Bytes::from(half)), Err(BodyError::Aborted)];
            let decoded =
                coding.decode(ByteStream::new(None, stream::iter(chunks)), lease()).into_bytes(u64::MAX).await;
            assert!(matches!(decoded, Err(BodyError::Aborted)), "{coding:?}: {decoded:?}");
        }
    }
}
