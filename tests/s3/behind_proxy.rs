//! An object store with the proxy before it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use larder::storage::{
    Attributes, ByteStream, GetOptions, ObjectStore, Precondition, PutOptions, PutOutcome, Result, s3::S3Store,
    s3::Timeouts,
};

use crate::proxy::Proxy;
use larder_test_kit::s3_backend::open_with;

/// More bytes than any test reads at once.
const MUCH: u64 = 64 << 20;

/// Limits that a test can wait for.
pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    expect_continue: Duration::from_millis(500),
    response: Duration::from_secs(2),
    stall: Duration::from_secs(2),
    idle: Duration::from_secs(15),
};

/// The client, and the proxy between it and the object store.
pub(crate) struct Behind {
    pub(crate) store: Arc<S3Store>,
    pub(crate) proxy: Proxy,
    /// The same without the proxy.
    direct: Arc<S3Store>,
    /// `true` if conditional requests are possible.
    pub(crate) is_conditional: bool,
}

impl Behind {
    pub(crate) async fn open() -> Self {
        let mut prefix = String::new();
        let (direct, found) = open_with(|options| prefix.clone_from(&options.prefix)).await;
        let endpoint = direct.bucket_endpoint().expect("tests name an endpoint");
        let proxy = Proxy::before(&endpoint).await;
        let through = proxy.endpoint().parse().expect("an origin");
        let (store, _) = open_with(|options| {
            options.endpoint = Some(through);
            options.prefix = prefix;
            options.timeouts = TIMEOUTS;
            options.part_bytes = 5 << 20;
        })
        .await;
        proxy.take_requests();
        Self { store, proxy, direct, is_conditional: found.conditional_writes }
    }

    pub(crate) async fn put(&self, key: &str, bytes: &[u8]) -> Result<PutOutcome> {
        put(self.store.as_ref(), key, bytes, Precondition::None).await
    }

    pub(crate) async fn read(&self, key: &str) -> Result<Bytes> {
        read(&self.store, key).await
    }

    pub(crate) async fn read_past_proxy(&self, key: &str) -> Result<Bytes> {
        read(&self.direct, key).await
    }
}

async fn read(store: &S3Store, key: &str) -> Result<Bytes> {
    let object = store.get(key, GetOptions::default()).await?;
    object.body.into_bytes(MUCH).await.map_err(larder::storage::Error::Body)
}

pub(crate) async fn put(
    store: &dyn ObjectStore,
    key: &str,
    bytes: &[u8],
    precondition: Precondition,
) -> Result<PutOutcome> {
    let attributes = Attributes { content_type: "text/plain".to_owned(), content_encoding: None };
    store.put(key, ByteStream::from(Bytes::copy_from_slice(bytes)), PutOptions { attributes, precondition }).await
}

/// Returns a body in pieces, whose length is announced or not.
pub(crate) fn stream(bytes: &[u8], is_announced: bool) -> ByteStream {
    let pieces: Vec<_> = bytes.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    ByteStream::new(is_announced.then_some(bytes.len() as u64), futures_util::stream::iter(pieces))
}
