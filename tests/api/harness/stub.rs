use async_trait::async_trait;
use larder::{
    auth::*,
    clock::*,
    kv::{Catalog, Records},
    storage::*,
};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
#[derive(Clone, Default)]
pub(crate) struct ApiOptions {
    pub(crate) public_url: String,
    pub(crate) max_record_bytes: u64,
}
pub(crate) struct Api;
impl Api {
    pub(crate) fn new(
        _: ApiOptions,
        _: Arc<Catalog>,
        _: Arc<Records>,
        _: Arc<Users>,
        _: Arc<Tokens>,
        _: Arc<Secrets>,
        _: Arc<dyn Clock>,
        _: Arc<dyn Random>,
    ) -> Self {
        Self
    }
    pub(crate) async fn respond<B>(&self, _: http::Request<B>) -> http::Response<http_body_util::Full<bytes::Bytes>> {
        http::Response::builder().status(501).body(http_body_util::Full::from("no")).unwrap()
    }
}
#[derive(Debug)]
pub(crate) struct MeasuredStore(Arc<dyn ObjectStore>, AtomicUsize);
impl MeasuredStore {
    pub(crate) fn new(o: Arc<dyn ObjectStore>) -> Self {
        Self(o, AtomicUsize::new(0))
    }
}
#[async_trait]
impl ObjectStore for MeasuredStore {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        self.0.put(key, body, options).await
    }
    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.0.get(key, options).await
    }
    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.0.head(key).await
    }
    async fn delete(&self, key: &str, p: Precondition) -> Result<()> {
        self.0.delete(key, p).await
    }
    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.0.delete_many(keys).await
    }
    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.0.list(options).await
    }
    async fn copy(&self, from: &str, to: &str, p: Precondition) -> Result<PutOutcome> {
        self.0.copy(from, to, p).await
    }
    async fn check(&self) -> Result<()> {
        self.0.check().await
    }
}
impl super::calls::Calls {
    pub(crate) fn of(_: &MeasuredStore) -> Self {
        Self::NONE
    }
}
