//! How a record goes into a ZIP file: decoded, or as it is stored where it cannot be decoded. One record that is damaged takes nothing
//! from the others.

use std::sync::Arc;

use crate::{
    api::content,
    kv::{ContentCoding, RecordKey},
    storage::{BodyError, ByteStream, Lease, MemoryBudget, Object},
};

/// The folder for records that began to be decoded and cannot be to their end. No key has a `/`, so that none is of that name.
const AS_STORED: &str = "as-stored";

/// The folder for records that cannot be read at all.
const UNREADABLE: &str = "unreadable";

/// The most bytes of an encoded record that is held in memory, to be decoded once before the file says anything of it.
pub(super) const MAX_EXAMINED: u64 = 4 * 1024 * 1024;

/// The most bytes that are decoded only to see whether that can be done: half a second's work.
const MAX_DECODED: usize = 256 * 1024 * 1024;

/// Bytes after which a task that never waits lets others go on.
const TURN_BYTES: usize = 1024 * 1024;

/// Lengths of entries from here on take 64 bits.
const ZIP64_LENGTH: u64 = u32::MAX as u64;

/// A file in a ZIP file that is to be made.
pub(super) struct Entry {
    /// Its path there.
    pub name: String,
    /// Note on it, for those who read the directory of the file.
    pub comment: String,
    /// Its bytes.
    pub body: ByteStream,
    /// Whether 64 bits are taken for its lengths. Readers of streams before Java 22 do not take them for an entry that is shorter.
    pub is_large: bool,
    /// Whether its body is decoded, which may fail.
    pub is_decoded: bool,
    written: u64,
    since_turn: usize,
}

impl Entry {
    fn new(name: String, comment: String, body: ByteStream) -> Self {
        Self { name, comment, body, is_large: false, is_decoded: false, written: 0, since_turn: 0 }
    }

    /// Returns the entry of a record. One that is in a coding is decoded: first in memory, if it is small enough for that, so that one that
    /// is not what it says goes in as it is stored.
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

    /// Returns the entry of a record whose own entry ended early, as the record is stored.
    pub fn as_stored(key: &RecordKey, object: Object, problem: &str) -> Self {
        let Object { meta, body, .. } = object;
        let file_name = content::file_name(key.as_str());
        let comment = format!("This is the record {key} as it is stored: {file_name} is not all of it ({problem})");
        let is_large = meta.size >= ZIP64_LENGTH;
        Self { is_large, ..Self::new(format!("{AS_STORED}/{file_name}"), comment, body) }
    }

    /// Returns the entry in place of a record whose stored bytes are damaged.
    pub fn unreadable(key: &RecordKey) -> Self {
        let name = format!("{UNREADABLE}/{}", content::file_name(key.as_str()));
        let comment = format!("The record {key} is damaged in its store, and cannot be read to its end");
        Self::new(name, comment, ByteStream::empty())
    }

    /// Notes that so many bytes are to be written. Returns whether the entry has room for them. Lets other tasks go on from time to time.
    pub async fn takes(&mut self, bytes: usize) -> bool {
        self.written += bytes as u64;
        give_way(&mut self.since_turn, bytes).await;
        self.is_large || self.written < ZIP64_LENGTH
    }
}

fn coding_of(content_encoding: Option<&str>) -> Option<ContentCoding> {
    content_encoding.and_then(ContentCoding::parse)
}

/// Decodes a body for no other end than to see whether that can be done, and says what is wrong with it.
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

/// Lets other tasks go on, once per so many bytes: what is in memory already never waits by itself.
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
