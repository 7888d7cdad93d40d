//! The idempotent writes that are retried while their response is lost.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    body::ByteStream,
    error::{Error, Result},
    object::{Attributes, ETag, GetOptions, Precondition, PutOptions, PutOutcome},
    store::ObjectStore,
};

use super::settle::Attempt;

/// A put of bytes that are in memory.
pub struct PutAttempt<'a, S: ?Sized> {
    pub inner: &'a S,
    pub key: &'a str,
    pub bytes: Bytes,
    pub attributes: Attributes,
    /// The object's validator before the write, if there was one.
    pub seen: Option<ETag>,
}

#[async_trait]
impl<S: ObjectStore + ?Sized> Attempt for PutAttempt<'_, S> {
    type Outcome = PutOutcome;

    async fn write(&self) -> Result<PutOutcome> {
        let options = PutOptions { attributes: self.attributes.clone(), precondition: Precondition::None };
        self.inner.put(self.key, ByteStream::from(self.bytes.clone()), options).await
    }

    async fn landed(&self) -> Result<Option<PutOutcome>> {
        let object = match self.inner.get(self.key, GetOptions::default()).await {
            Err(Error::NotFound) => return Ok(None),
            found => found?,
        };
        let meta = object.meta;
        // Equal bytes from before the write prove nothing.
        if self.seen.as_ref() == Some(&meta.etag) || meta.size != self.bytes.len() as u64 {
            return Ok(None);
        }
        let found = object.body.into_bytes(meta.size).await.map_err(Error::Body)?;
        let is_ours = found == self.bytes && meta.attributes == self.attributes;
        Ok(is_ours.then_some(PutOutcome { etag: meta.etag, last_modified: meta.last_modified }))
    }
}

/// A delete.
pub struct DeleteAttempt<'a, S: ?Sized> {
    pub inner: &'a S,
    pub key: &'a str,
}

#[async_trait]
impl<S: ObjectStore + ?Sized> Attempt for DeleteAttempt<'_, S> {
    type Outcome = ();

    async fn write(&self) -> Result<()> {
        self.inner.delete(self.key, Precondition::None).await
    }

    async fn landed(&self) -> Result<Option<()>> {
        match self.inner.head(self.key).await {
            Err(Error::NotFound) => Ok(Some(())),
            found => found.map(|_| None),
        }
    }
}

/// A copy.
pub struct CopyAttempt<'a, S: ?Sized> {
    pub inner: &'a S,
    pub from: &'a str,
    pub to: &'a str,
}

#[async_trait]
impl<S: ObjectStore + ?Sized> Attempt for CopyAttempt<'_, S> {
    type Outcome = PutOutcome;

    async fn write(&self) -> Result<PutOutcome> {
        self.inner.copy(self.from, self.to, Precondition::None).await
    }

    /// A copy may have another validator than its source, so a read would prove nothing.
    async fn landed(&self) -> Result<Option<PutOutcome>> {
        Ok(None)
    }
}
