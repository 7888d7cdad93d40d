//! Values to store, and short words for storing and reading them.

use bytes::Bytes;
use futures_util::stream;
use larder_object_store::{
    Attributes, BodyError, ByteStream, GetOptions, ListOptions, MAX_LIST_KEYS, ObjectStore, Precondition, PutOptions,
    PutOutcome, Result, embedded::INLINE_LIMIT,
};
use larder_runtime::clock::Timestamp;

/// Sizes around every limit an implementation has.
pub const SIZES: [usize; 10] =
    [0, 1, 256, 257, 1000, INLINE_LIMIT - 1, INLINE_LIMIT, INLINE_LIMIT + 1, 1024 * 1024, 3 * 1024 * 1024 + 7];

/// More bytes than any test reads at once.
pub const MUCH: u64 = 64 * 1024 * 1024;

/// `length` bytes that no other `seed` gives.
pub fn value(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length.div_ceil(8)).flatten().take(length).collect()
}

/// Attributes of a media type alone.
pub fn typed(content_type: &str) -> Attributes {
    Attributes { content_type: content_type.to_owned(), content_encoding: None }
}

/// Options of a put under a precondition.
pub fn provided(precondition: Precondition) -> PutOptions {
    PutOptions { precondition, attributes: typed("text/plain") }
}

/// Returns a body of unknown length in chunks of uneven sizes, some of them empty.
pub fn stream_of(bytes: &Bytes) -> ByteStream {
    let sizes = [1, 0, 7, 1000, 65_536, 3, 300_000, 16_384];
    let (mut rest, mut turn) = (bytes.clone(), 0);
    let chunks = std::iter::from_fn(move || {
        let size = sizes[turn % sizes.len()].min(rest.len());
        turn += 1;
        (!rest.is_empty()).then(|| Ok(rest.split_to(size)))
    });
    ByteStream::new(None, stream::iter(chunks))
}

/// Returns a body that announces `length`, gives `bytes` and then `end`.
pub fn broken(length: Option<u64>, bytes: &Bytes, end: Option<BodyError>) -> ByteStream {
    let chunks: Vec<_> = bytes.chunks(10_000).map(|chunk| Ok(bytes.slice_ref(chunk))).chain(end.map(Err)).collect();
    ByteStream::new(length, stream::iter(chunks))
}

/// Stores `bytes` under `key`.
pub async fn put(store: &dyn ObjectStore, key: &str, bytes: &Bytes) -> PutOutcome {
    store.put(key, bytes.clone().into(), provided(Precondition::None)).await.unwrap()
}

/// Returns all bytes under `key`.
pub async fn read(store: &dyn ObjectStore, key: &str) -> Result<Bytes> {
    let object = store.get(key, GetOptions::default()).await?;
    assert_eq!(object.range, 0..object.meta.size);
    let bytes = object.body.into_bytes(MUCH).await.unwrap();
    assert_eq!(bytes.len() as u64, object.meta.size);
    Ok(bytes)
}

/// Returns all keys that begin with `prefix`, by pages of `limit`.
pub async fn keys(store: &dyn ObjectStore, prefix: &str, limit: usize) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let options = ListOptions { prefix: prefix.to_owned(), start_after: keys.last().cloned(), limit };
        let page = store.list(options).await.unwrap();
        assert!(page.objects.len() <= limit.min(MAX_LIST_KEYS));
        assert!(!page.is_truncated || !page.objects.is_empty(), "an empty page cannot be continued");
        keys.extend(page.objects.into_iter().map(|object| object.key));
        if !page.is_truncated {
            return keys;
        }
    }
}

/// Returns `true` if two dates may mean one write: some responses of object stores have seconds and some more, and the
/// object may be a moment older than the response.
pub fn is_about(one: Timestamp, other: Timestamp) -> bool {
    one.as_millis().abs_diff(other.as_millis()) <= 2000
}
