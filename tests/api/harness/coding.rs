//! Content codings, as a client makes and reads them.

use async_compression::tokio::write::{BrotliEncoder, GzipDecoder, GzipEncoder, ZlibEncoder};
use tokio::io::AsyncWriteExt;

/// `bytes` in the coding `gzip`.
pub(crate) async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(bytes).await.expect("a vector takes all");
    encoder.shutdown().await.expect("a vector takes all");
    encoder.into_inner()
}

/// `bytes` in the coding `br`.
pub(crate) async fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = BrotliEncoder::new(Vec::new());
    encoder.write_all(bytes).await.expect("a vector takes all");
    encoder.shutdown().await.expect("a vector takes all");
    encoder.into_inner()
}

/// `bytes` in the coding `deflate`, which is what others call zlib.
pub(crate) async fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new());
    encoder.write_all(bytes).await.expect("a vector takes all");
    encoder.shutdown().await.expect("a vector takes all");
    encoder.into_inner()
}

/// Decodes `bytes`, which are in the coding `gzip`.
pub(crate) async fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut decoder = GzipDecoder::new(Vec::new());
    decoder.write_all(bytes).await.expect("the bytes are gzip");
    decoder.shutdown().await.expect("the bytes are whole gzip");
    decoder.into_inner()
}
