//! Header fields of objects: media type, content encoding, storage and condition in requests; size, range, `ETag` and
//! attributes in responses, and detection of a proxy that decoded the object.

use std::{borrow::Cow, ops::Range};

use xxhash_rust::xxh3::xxh3_64;

use larder_runtime::clock::Timestamp;

use super::{
    bucket::Encryption, control_plane::Condition, http1::Head, response_documents::ErrorContext, signer::Request,
};
use crate::{Attributes, ByteRange, ETag, Error, ObjectMeta, Precondition, Result};

/// Media type that marks the absence of one.
pub const NO_CONTENT_TYPE: &str = "application/vnd.larder.untyped";

/// Header with the content encoding of a stored object. Unlike `Content-Encoding` it always reaches the client: proxies
/// that decode for clients (nginx with `gunzip on`, several CDNs) drop that one.
pub const STORED_ENCODING_HEADER: &str = "x-amz-meta-larder-coding";

/// `Accept-Encoding` with all content encodings of records.
pub const ALL_ENCODINGS: &str = "gzip, br, deflate, identity";

/// [`STORED_ENCODING_HEADER`] as the SDK names it.
pub const STORED_ENCODING_METADATA: &str = "larder-coding";

/// Returns the range of the response, and the size of the whole object.
pub fn read_range(head: &Head, requested: Option<ByteRange>) -> Result<(Range<u64>, u64)> {
    let Some(content_range) = head.get("content-range").filter(|_| head.status == 206) else {
        let size = read_length(head)?;
        return match requested {
            None => Ok((0..size, size)),
            // An object store may return the whole object if that is the range.
            Some(range) => match range.resolve(size) {
                Some(range) if range == (0..size) => Ok((range, size)),
                Some(_) => Err(unusable("it ignores ranges")),
                None => Err(Error::RangeNotSatisfiable { size }),
            },
        };
    };
    let parse = || {
        let (range, size) = content_range.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        Some((first..last.checked_add(1)?, size.parse().ok()?))
    };
    parse().ok_or_else(|| unusable("its Content-Range is malformed"))
}

pub fn read_length(head: &Head) -> Result<u64> {
    let length = head.get("content-length").and_then(|length| length.trim().parse().ok());
    length.ok_or_else(|| {
        unusable("it has no Content-Length: a proxy before the object store changes objects or drops headers")
    })
}

pub fn read_meta(head: &Head, size: u64) -> Result<ObjectMeta> {
    let content_type =
        head.get("content-type").filter(|content_type| *content_type != NO_CONTENT_TYPE).unwrap_or_default();
    let attributes =
        Attributes { content_type: content_type.to_owned(), content_encoding: read_content_encoding(head) };
    let etag = head.get("etag").map(unquote).ok_or_else(|| unusable("it has no ETag"))?;
    let date = head.get("last-modified").and_then(|date| httpdate::parse_http_date(date).ok());
    let last_modified = Timestamp::from(date.ok_or_else(|| unusable("it has no Last-Modified date"))?);
    Ok(ObjectMeta { size, etag: with_attributes(&etag, &attributes), last_modified, attributes })
}

/// Returns the content encoding without `aws-chunked`, a transfer encoding of other clients that some object stores
/// store by mistake. (`SeaweedFS`)
fn read_content_encoding(head: &Head) -> Option<String> {
    let codings = head.get("content-encoding")?.split(',').map(str::trim);
    let codings: Vec<&str> = codings.filter(|coding| !matches!(*coding, "" | "aws-chunked")).collect();
    (!codings.is_empty()).then(|| codings.join(", "))
}

/// Returns the stored content encoding of an object if the response has another one or none. Then a proxy has decoded
/// it, and its length, bytes and `ETag` are not those of the object.
pub fn decoded_encoding(head: &Head) -> Option<String> {
    let stored = head.get(STORED_ENCODING_HEADER)?;
    (read_content_encoding(head).as_deref() != Some(stored)).then(|| stored.to_owned())
}

/// Returns the error of a read whose response was decoded although it accepted the content encoding of the object.
pub fn decoded_error(coding: &str, context: &ErrorContext) -> Error {
    let endpoint = &context.endpoint;
    Error::Unavailable(
        format!(
            "cannot read the object: the server at {endpoint} decodes objects, and returned one stored with \
             Content-Encoding {coding} without it ({context}); turn decoding off at the proxy before the object store \
             (nginx: gunzip off)"
        )
        .into(),
    )
}

fn unusable(what: &str) -> Error {
    Error::Unavailable(format!("cannot use the response of the object store: {what}").into())
}

/// Returns the media type to send; never an empty one, since vendors would add their own.
pub fn content_type(attributes: &Attributes) -> &str {
    if attributes.content_type.is_empty() { NO_CONTENT_TYPE } else { &attributes.content_type }
}

/// Adds the content encoding of an object, and the header that shows whether a response was decoded.
pub fn add_content_encoding<'a>(request: &mut Request<'a>, attributes: &'a Attributes) {
    if let Some(coding) = &attributes.content_encoding {
        request.header("content-encoding", coding.as_str());
        request.header(STORED_ENCODING_HEADER, coding.as_str());
    }
}

/// Returns the headers for storage class and encryption.
pub fn storage_headers(encryption: Option<&Encryption>, class: Option<&str>) -> Vec<(&'static str, Cow<'static, str>)> {
    let mut headers: Vec<(&'static str, Cow<'static, str>)> = Vec::new();
    match encryption {
        Some(Encryption::Aes256) => headers.push(("x-amz-server-side-encryption", "AES256".into())),
        Some(Encryption::Kms(key)) => {
            headers.push(("x-amz-server-side-encryption", "aws:kms".into()));
            if let Some(key) = key {
                headers.push(("x-amz-server-side-encryption-aws-kms-key-id", key.clone().into()));
            }
        }
        None => {}
    }
    if let Some(class) = class {
        headers.push(("x-amz-storage-class", class.to_owned().into()));
    }
    headers
}

/// Returns the condition of a write as header values.
pub fn condition_headers(precondition: &Precondition, is_quoted: bool) -> Result<Condition> {
    Ok(match precondition {
        Precondition::None => Condition::default(),
        Precondition::IfAbsent => Condition { if_none_match: Some("*".to_owned()), if_match: None },
        Precondition::IfMatch(etag) => {
            // An `ETag` of another form was never issued.
            let vendor = vendor_part(etag).ok_or(Error::Precondition)?;
            let if_match = if is_quoted { format!("\"{vendor}\"") } else { vendor.to_owned() };
            Condition { if_match: Some(if_match), if_none_match: None }
        }
    })
}

// `ETag`s of objects.
//
// The vendor's `ETag` covers only the bytes of an object. The same bytes under another media type are another
// representation to readers, so ours covers the attributes, too: the vendor's part, then a hash of the attributes, as in
// `9e107d9d372bb6826bd81d3542a419d6-1a2b3c4d`. Conditions are sent with the vendor's part.

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
