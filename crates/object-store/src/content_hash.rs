//! Validators computed from stored data: the same bytes with the same attributes have the same `ETag` in each of our
//! own implementations. They guard against accidents (a damaged disk, a lost update), not against forgery.

use std::fmt;

use xxhash_rust::xxh3::Xxh3Default;

use super::object::{Attributes, ETag};

/// A streaming hash over an object's bytes and, at the end, its attributes.
pub struct ContentHasher {
    hash: Box<Xxh3Default>,
    size: u64,
}

impl ContentHasher {
    /// Returns the hash of no bytes.
    pub fn new() -> Self {
        Self { hash: Box::default(), size: 0 }
    }

    /// Hashes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Returns the number of bytes hashed so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the hash of all bytes with `attributes`. The lengths come last, so that bytes of one part never count as
    /// those of another.
    pub fn finish(mut self, attributes: &Attributes) -> u128 {
        let Attributes { content_type, content_encoding } = attributes;
        let coding = content_encoding.as_deref();
        self.hash.update(content_type.as_bytes());
        self.hash.update(coding.unwrap_or_default().as_bytes());
        self.hash.update(&self.size.to_le_bytes());
        self.hash.update(&(content_type.len() as u64).to_le_bytes());
        self.hash.update(&coding.map_or(u64::MAX, |coding| coding.len() as u64).to_le_bytes());
        self.hash.digest128()
    }
}

impl Default for ContentHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentHasher").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Returns the hash of `bytes` with `attributes`.
pub fn content_hash(bytes: &[u8], attributes: &Attributes) -> u128 {
    let mut hash = ContentHasher::new();
    hash.update(bytes);
    hash.finish(attributes)
}

/// Returns the validator for `hash`.
pub fn etag(hash: u128) -> ETag {
    ETag::new(&format!("{hash:032x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(content_type: &str, coding: Option<&str>) -> Attributes {
        Attributes { content_type: content_type.to_owned(), content_encoding: coding.map(str::to_owned) }
    }

    #[test]
    fn bytes_and_attributes_all_count_and_none_passes_for_another() {
        let hashes = [
            content_hash(b"", &attributes("", None)),
            content_hash(b"", &attributes("", Some(""))),
            content_hash(b"a", &attributes("", None)),
            content_hash(b"", &attributes("a", None)),
            content_hash(b"", &attributes("", Some("a"))),
            content_hash(b"ab", &attributes("", None)),
            content_hash(b"a", &attributes("b", None)),
            content_hash(b"a", &attributes("", Some("b"))),
            content_hash(b"", &attributes("a", Some("b"))),
        ];
        for (at, hash) in hashes.iter().enumerate() {
            assert!(!hashes[at + 1..].contains(hash), "hash {at} comes twice");
        }
    }

    #[test]
    fn the_hash_does_not_depend_on_how_the_bytes_were_cut() {
        let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let mut hash = ContentHasher::new();
        bytes.chunks(77).for_each(|chunk| hash.update(chunk));
        assert_eq!(hash.finish(&Attributes::default()), content_hash(&bytes, &Attributes::default()));
    }
}
