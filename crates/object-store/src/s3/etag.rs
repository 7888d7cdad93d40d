//! `ETag`s of objects.
//!
//! The vendor's `ETag` covers only the bytes of an object. The same bytes under another media type are another
//! representation to readers, so ours covers the attributes, too: the vendor's part, then a hash of the attributes, as in
//! `9e107d9d372bb6826bd81d3542a419d6-1a2b3c4d`. Conditions are sent with the vendor's part.

use xxhash_rust::xxh3::xxh3_64;

use crate::{Attributes, ETag};

/// Number of characters of the hash of the attributes.
const ATTRIBUTES_HASH_CHARS: usize = 8;

/// Hexadecimal digits.
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Returns the `ETag` of an object with the vendor's `ETag` and these attributes.
pub fn with_attributes(vendor: &ETag, attributes: &Attributes) -> ETag {
    let coding = attributes.content_encoding.as_deref().unwrap_or_default();
    // No media type and no coding contains a line break.
    let hash = xxh3_64([attributes.content_type.as_str(), "\n", coding].concat().as_bytes());
    let mut text = String::with_capacity(vendor.as_str().len() + 1 + ATTRIBUTES_HASH_CHARS);
    text.push_str(vendor.as_str());
    text.push('-');
    // The lower half of the hash. By hand: every read makes one, and formatting costs more than all of the rest.
    for byte in hash.to_be_bytes().into_iter().skip(ATTRIBUTES_HASH_CHARS / 2) {
        text.extend([byte >> 4, byte & 0xF].map(|digit| char::from(HEX[usize::from(digit)])));
    }
    ETag::new(&text)
}

/// Returns the vendor's part of an `ETag`; `None` if the `ETag` is not ours.
pub fn vendor_part(etag: &ETag) -> Option<&str> {
    let (vendor, hash) = etag.as_str().rsplit_once('-')?;
    let is_ours = hash.len() == ATTRIBUTES_HASH_CHARS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_ours && !vendor.is_empty()).then_some(vendor)
}

/// Returns an `ETag` without its quotes and the `W/` of a weak one.
pub fn unquote(text: &str) -> ETag {
    ETag::new(text.trim().trim_start_matches("W/").trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_covers_the_attributes_and_has_the_vendors_part() {
        let typed = |content_type: &str| Attributes { content_type: content_type.to_owned(), content_encoding: None };
        let (one, other) =
            (with_attributes(&ETag::new("ab-3"), &typed("a/b")), with_attributes(&ETag::new("ab-3"), &typed("a/c")));
        assert_ne!(one, other);
        assert_eq!((vendor_part(&one), vendor_part(&other)), (Some("ab-3"), Some("ab-3")));
        assert_eq!(vendor_part(&ETag::new("ab-3")), None);
        // Clients keep ETags for long: no later version may format them differently.
        assert_eq!(one.as_str(), "ab-3-d1896e3a");
    }
}
