//! Receives the body of a put in constant memory: small values in memory, larger ones into a file.
//!
//! While one block is written (and hashed) off the async threads, the next one comes in. Dropping the future removes
//! the file.

use std::{io, mem};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    super::{
        announced::AnnouncedLength,
        body::{BodyError, ByteStream},
        error::{Error, Result},
        fingerprint::fingerprint,
        object::Attributes,
    },
    faults::{file_fault, work_fault},
    options::INLINE_LIMIT,
    spool::{NewFile, Spool, Writer},
};

/// Bytes gathered before a write: fast clients send larger chunks, which are written as they are. Each upload has two
/// blocks in memory.
const BLOCK_BYTES: usize = 64 * 1024;

/// The bytes of an object to store.
#[derive(Debug)]
pub enum Value {
    /// At most [`INLINE_LIMIT`] bytes.
    Inline(Bytes),
    /// More bytes: a complete and synced file.
    File(NewFile),
}

/// A body that was received completely.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub value: Value,
    /// Size in bytes.
    pub size: u64,
    /// Hash of bytes and attributes.
    pub hash: u128,
}

/// Receives `body`, which must have its announced length.
pub async fn receive(mut body: ByteStream, attributes: &Attributes, spool: &Spool) -> Result<Received> {
    let mut length = AnnouncedLength::new(body.length());
    let mut start = Start::default();
    while let Some(chunk) = next(&mut body, &mut length).await? {
        if start.len() + chunk.len() > INLINE_LIMIT {
            let mut upload = Upload::new(spool.reserve());
            upload.push(start.into_bytes()).await?;
            upload.push(chunk).await?;
            while let Some(chunk) = next(&mut body, &mut length).await? {
                upload.push(chunk).await?;
            }
            length.finish().map_err(Error::Body)?;
            return upload.finish(attributes).await;
        }
        start.push(chunk);
    }
    length.finish().map_err(Error::Body)?;
    let bytes = start.into_bytes();
    let (size, hash) = (bytes.len() as u64, fingerprint(&bytes, attributes));
    Ok(Received { value: Value::Inline(bytes), size, hash })
}

async fn next(body: &mut ByteStream, length: &mut AnnouncedLength) -> Result<Option<Bytes>> {
    let chunk = body.next().await.transpose().map_err(Error::Body)?;
    if let Some(chunk) = &chunk {
        length.add(chunk.len()).map_err(Error::Body)?;
    }
    Ok(chunk)
}

/// The first bytes of a body; a body of one chunk is not copied.
#[derive(Default)]
struct Start {
    first: Bytes,
    all: Vec<u8>,
}

impl Start {
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn push(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.first = chunk;
        } else {
            self.all.extend_from_slice(&mem::take(&mut self.first));
            self.all.extend_from_slice(&chunk);
        }
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.into() }
    }
}

/// A file that is being written; the field that is set tells by which thread.
struct Upload {
    resting: Option<Writer>,
    writing: Option<JoinHandle<io::Result<Writer>>>,
    block: Vec<u8>,
}

impl Upload {
    fn new(target: NewFile) -> Self {
        Self { resting: Some(Writer::new(target)), writing: None, block: Vec::new() }
    }

    /// Receives a chunk. Small ones are gathered, since a chunk may be one byte of a buffer of kilobytes.
    async fn push(&mut self, chunk: Bytes) -> Result<()> {
        if self.block.len() + chunk.len() > BLOCK_BYTES {
            let full = mem::take(&mut self.block);
            self.write(full.into()).await?;
        }
        if chunk.len() >= BLOCK_BYTES {
            return self.write(chunk).await;
        }
        if self.block.capacity() == 0 {
            self.block.reserve_exact(BLOCK_BYTES);
        }
        self.block.extend_from_slice(&chunk);
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut writer = self.rest().await?;
        self.writing = Some(spawn_blocking(move || writer.write(&bytes).map(|()| writer)));
        Ok(())
    }

    /// Returns the writer, once it has written its last block.
    async fn rest(&mut self) -> Result<Writer> {
        match (self.resting.take(), self.writing.take()) {
            (Some(writer), _) => Ok(writer),
            (None, Some(writing)) => writing.await.map_err(work_fault)?.map_err(file_fault),
            (None, None) => Err(Error::Body(BodyError::Aborted)),
        }
    }

    async fn finish(mut self, attributes: &Attributes) -> Result<Received> {
        let mut writer = self.rest().await?;
        let last = mem::take(&mut self.block);
        let finished = spawn_blocking(move || writer.write(&last).and_then(|()| writer.finish()));
        let (file, fingerprint) = finished.await.map_err(work_fault)?.map_err(file_fault)?;
        let size = fingerprint.size();
        Ok(Received { value: Value::File(file), size, hash: fingerprint.finish(attributes) })
    }
}
