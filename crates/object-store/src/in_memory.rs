//! The reference implementation: objects in memory, as simple as the contract allows. For tests; nothing survives the
//! process.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use larder_runtime::clock::Clock;

use super::{
    body::{BodyError, ByteStream, ContentLengthCheck, content_hash, etag},
    object::{
        Attributes, GetOptions, ListOptions, ListPage, ListedObject, Object, ObjectMeta, Precondition, PutOptions,
        PutOutcome,
    },
    store::{Error, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Result},
};

/// Objects in memory.
#[derive(Debug)]
pub struct InMemoryStore {
    objects: Mutex<BTreeMap<String, Stored>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
struct Stored {
    meta: ObjectMeta,
    bytes: Bytes,
}

impl InMemoryStore {
    /// Returns an empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { objects: Mutex::default(), clock }
    }

    fn find(&self, key: &str) -> Result<Stored> {
        self.objects.lock().get(key).cloned().ok_or(Error::NotFound)
    }

    fn store(
        &self,
        key: &str,
        bytes: Bytes,
        attributes: Attributes,
        precondition: &Precondition,
    ) -> Result<PutOutcome> {
        let etag = etag(content_hash(&bytes, &attributes));
        let mut objects = self.objects.lock();
        let last_modified = self.clock.now();
        check(objects.get(key), precondition)?;
        let meta = ObjectMeta { size: bytes.len() as u64, etag: etag.clone(), last_modified, attributes };
        objects.insert(key.to_owned(), Stored { meta, bytes });
        Ok(PutOutcome { etag, last_modified })
    }
}

fn check(stored: Option<&Stored>, precondition: &Precondition) -> Result<()> {
    let holds = match precondition {
        Precondition::None => true,
        Precondition::IfAbsent => stored.is_none(),
        Precondition::IfMatch(etag) => stored.is_some_and(|stored| stored.meta.etag == *etag),
    };
    if holds { Ok(()) } else { Err(Error::Precondition) }
}

async fn collect(mut body: ByteStream) -> Result<Bytes, BodyError> {
    let mut length = ContentLengthCheck::new(body.length());
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await.transpose()? {
        length.add(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    length.finish()?;
    Ok(bytes.freeze())
}

#[async_trait]
impl ObjectStore for InMemoryStore {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        let bytes = collect(body).await.map_err(Error::Body)?;
        self.store(key, bytes, options.attributes, &options.precondition)
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        let Stored { meta, bytes } = self.find(key)?;
        let range = match options.range {
            None => 0..meta.size,
            Some(range) => range.resolve(meta.size).ok_or(Error::RangeNotSatisfiable { size: meta.size })?,
        };
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let body = ByteStream::from(bytes.slice(index(range.start)..index(range.end)));
        Ok(Object { meta, range, body })
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        Ok(self.find(key)?.meta)
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        let mut objects = self.objects.lock();
        check(objects.get(key), &precondition)?;
        objects.remove(key);
        Ok(())
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        if keys.len() > MAX_DELETE_KEYS {
            return Err(Error::Unsupported("deleting more than 1,000 objects at once"));
        }
        let mut objects = self.objects.lock();
        for key in keys {
            objects.remove(&key);
        }
        Ok(())
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        let ListOptions { prefix, start_after, limit } = options;
        let start = match start_after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix.clone()),
        };
        let objects = self.objects.lock();
        let mut found = objects.range((start, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(&prefix)).map(
            |(key, Stored { meta, .. })| ListedObject {
                key: key.clone(),
                size: meta.size,
                etag: Some(meta.etag.clone()),
                last_modified: meta.last_modified,
            },
        );
        let page = found.by_ref().take(limit.clamp(1, MAX_LIST_KEYS)).collect();
        Ok(ListPage { objects: page, is_truncated: found.next().is_some() })
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        let Stored { meta, bytes } = self.find(from)?;
        self.store(to, bytes, meta.attributes, &precondition)
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
