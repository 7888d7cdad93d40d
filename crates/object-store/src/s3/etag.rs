//! `ETag`s. An object store's own covers an object's bytes; ours covers its attributes, too, since the same bytes under
//! another media type are another representation to readers. So ours is the vendor's followed by a mark of the
//! attributes, `9e107d9d372bb6826bd81d3542a419d6-1a2b3c4d`, and conditions use the part before the mark.

use xxhash_rust::xxh3::xxh3_64;

use crate::{Attributes, ETag};

/// Number of characters of a mark.
const MARK_LENGTH: usize = 8;

/// The hexadecimal digits of marks.
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Returns the validator of an object with these attributes.
pub fn marked(vendor: &ETag, attributes: &Attributes) -> ETag {
    let coding = attributes.content_encoding.as_deref().unwrap_or_default();
    // No media type and no coding contains a line break.
    let hash = xxh3_64([attributes.content_type.as_str(), "\n", coding].concat().as_bytes());
    let mut text = String::with_capacity(vendor.as_str().len() + 1 + MARK_LENGTH);
    text.push_str(vendor.as_str());
    text.push('-');
    // The lower half of the hash. By hand: every read makes one, and formatting costs more than all of the rest.
    for byte in hash.to_be_bytes().into_iter().skip(MARK_LENGTH / 2) {
        text.extend([byte >> 4, byte & 0xF].map(|digit| char::from(HEX[usize::from(digit)])));
    }
    ETag::new(&text)
}

/// Returns the vendor's part of a validator; `None` if it is not ours.
pub fn unmarked(etag: &ETag) -> Option<&str> {
    let (vendor, mark) = etag.as_str().rsplit_once('-')?;
    let is_ours = mark.len() == MARK_LENGTH && mark.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_ours && !vendor.is_empty()).then_some(vendor)
}

/// Returns a validator without its quotes, and without the mark of a weak one.
pub fn unquoted(text: &str) -> ETag {
    ETag::new(text.trim().trim_start_matches("W/").trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validator_covers_the_attributes_and_gives_the_vendors_back() {
        let typed = |content_type: &str| Attributes { content_type: content_type.to_owned(), content_encoding: None };
        let (one, other) = (marked(&ETag::new("ab-3"), &typed("a/b")), marked(&ETag::new("ab-3"), &typed("a/c")));
        assert_ne!(one, other);
        assert_eq!((unmarked(&one), unmarked(&other)), (Some("ab-3"), Some("ab-3")));
        assert_eq!(unmarked(&ETag::new("ab-3")), None);
        // Clients keep validators for long: no later version may format them differently.
        assert_eq!(one.as_str(), "ab-3-d1896e3a");
    }
}
