//! Entry of a record in a ZIP file: decoded, or as stored if it cannot be decoded. A damaged record does not affect the
//! others.

use std::sync::Arc;

use crate::{
    api::content,
    kv::{ContentCoding, RecordKey},
    storage::{BodyError, ByteStream, Lease, MemoryBudget, Object},
};

/// Folder for records whose decoding fails midway. No key has a `/`, so none collides with it.
const AS_STORED: &str = "as-stored";

/// Folder for unreadable records.
const UNREADABLE: &str = "unreadable";

/// Maximum size of an encoded record that is held in memory, to be decoded once before its entry begins.
pub(super) const MAX_EXAMINED: u64 = 4 * 1024 * 1024;

/// Maximum number of bytes decoded only as a check: half a second's work.
const MAX_DECODED: usize = 256 * 1024 * 1024;

/// Number of bytes after which a task that never waits yields.
const TURN_BYTES: usize = 1024 * 1024;

/// Minimum length that needs 64 bits in an entry.
const ZIP64_LENGTH: u64 = u32::MAX as u64;

/// A file to be added to a ZIP file.
pub(super) struct Entry {
    /// Its path in the ZIP file.
    pub name: String,
    /// Comment in the file's directory.
    pub comment: String,
    /// Its bytes.
    pub body: ByteStream,
    /// True if its lengths have 64 bits. Readers of streams before Java 22 do not accept them for a shorter entry.
    pub is_large: bool,
    /// True if its body is decoded, which may fail.
    pub is_decoded: bool,
    written: u64,
    since_turn: usize,
}

impl Entry {
    fn new(name: String, comment: String, body: ByteStream) -> Self {
        Self { name, comment, body, is_large: false, is_decoded: false, written: 0, since_turn: 0 }
    }

    /// Returns the entry of a record. A record with a content coding is decoded. A small one is decoded in memory
    /// first, so that one whose coding is wrong is added as stored.
    pub async fn of_record(key: &RecordKey, object: Object, memory: &Arc<MemoryBudget>) -> Result<Self, BodyError> {
        let Object { meta, body, .. } = object;
        let name = content::file_name(key.as_str()).to_owned();
        let Some(coding) = coding_of(meta.attributes.content_encoding.as_deref()) else {
            return Ok(Self { is_large: meta.size >= ZIP64_LENGTH, ..Self::new(name, String::new(), body) });
        };
        let lease = memory.lease();
        if meta.size > MAX_EXAMINED {
            let decoded = coding.decode(body, lease);
            return Ok(Self { is_large: true, is_decoded: true, ..Self::new(name, String::new(), decoded) });
        }
        let stored = lease.gather(body, MAX_EXAMINED).await?;
        let problem = problem_with(coding, ByteStream::from(stored.clone()), lease.clone()).await?;
        lease.shrink_to(stored.len() as u64);
        let stored = ByteStream::from(stored);
        if let Some(problem) = problem {
            let comment =
                format!("This is the record as it is stored: it cannot be decoded as {} ({problem})", coding.as_str());
            return Ok(Self::new(name, comment, stored.holding(lease)));
        }
        Ok(Self { is_decoded: true, ..Self::new(name, String::new(), coding.decode(stored, lease)) })
    }

    /// Returns the entry of a record as stored, after its decoded entry ended early.
    pub fn as_stored(key: &RecordKey, object: Object, problem: &str) -> Self {
        let Object { meta, body, .. } = object;
        let file_name = content::file_name(key.as_str());
        let comment = format!("This is the record {key} as it is stored: {file_name} is not all of it ({problem})");
        let is_large = meta.size >= ZIP64_LENGTH;
        Self { is_large, ..Self::new(format!("{AS_STORED}/{file_name}"), comment, body) }
    }

    /// Returns the placeholder entry for a record whose stored bytes are damaged.
    pub fn unreadable(key: &RecordKey) -> Self {
        let name = format!("{UNREADABLE}/{}", content::file_name(key.as_str()));
        let comment = format!("The record {key} is damaged in its store, and cannot be read to its end");
        Self::new(name, comment, ByteStream::empty())
    }

    /// Counts bytes that are about to be written. Returns whether the entry has room for them. Yields from time to
    /// time.
    pub async fn takes(&mut self, bytes: usize) -> bool {
        self.written += bytes as u64;
        give_way(&mut self.since_turn, bytes).await;
        self.is_large || self.written < ZIP64_LENGTH
    }
}

fn coding_of(content_encoding: Option<&str>) -> Option<ContentCoding> {
    content_encoding.and_then(ContentCoding::parse)
}

/// Decodes a body only as a check, and returns the problem if decoding fails.
async fn problem_with(coding: ContentCoding, body: ByteStream, lease: Lease) -> Result<Option<String>, BodyError> {
    let (mut decoded, mut length, mut since_turn) = (coding.decode(body, lease), 0, 0);
    while let Some(chunk) = decoded.next().await {
        match chunk {
            Ok(chunk) => {
                length += chunk.len();
                if length > MAX_DECODED {
                    break;
                }
                give_way(&mut since_turn, chunk.len()).await;
            }
            Err(BodyError::Malformed(problem)) => return Ok(Some(problem)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Yields once per that many bytes: data in memory never waits by itself.
async fn give_way(since_turn: &mut usize, bytes: usize) {
    *since_turn += bytes;
    if *since_turn >= TURN_BYTES {
        *since_turn = 0;
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_entry_whose_lengths_have_32_bits_ends_before_they_need_more() {
        for is_large in [false, true] {
            let mut entry = Entry { is_large, ..Entry::new(String::new(), String::new(), ByteStream::empty()) };
            assert!(entry.takes(u32::MAX as usize - 1).await);
            assert_eq!(entry.takes(1).await, is_large);
        }
    }
}
