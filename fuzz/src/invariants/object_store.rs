//! Invariants of an object store's responses: lists, errors, ETags and addresses.

use bytes::BytesMut;
use larder_object_store::{
    Attributes, ETag,
    s3::{
        Endpoint,
        internals::{
            Address, ErrorContext, ErrorResponse, Head, encode_into, parse_copy, parse_list, query, unquote,
            vendor_part, with_attributes,
        },
    },
};
use percent_encoding::percent_decode_str;

/// Prefix of all keys of an installation.
const ROOT: &str = "root/";

/// Checks that a list has no key outside of its prefix, and that each key of one list comes back from another.
pub fn listing(bytes: &[u8]) {
    let _ = parse_copy(bytes);
    if let (Ok(page), Ok(all)) = (parse_list(bytes, ROOT), parse_list(bytes, "")) {
        let below: Vec<&str> = all.objects.iter().filter_map(|object| object.key.strip_prefix(ROOT)).collect();
        let found: Vec<&str> = page.objects.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(found, below);
        assert_eq!(page.is_truncated, all.is_truncated);
    }
    // Any key comes back unchanged after escaping.
    let Ok(key) = std::str::from_utf8(bytes) else { return };
    let key: String = key.chars().filter(|character| !character.is_control()).collect();
    let document = format!(
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>{ROOT}{}</Key><Size>7</Size>\
         <LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents></ListBucketResult>",
        quick_xml::escape::escape(key.as_str())
    );
    let page = parse_list(document.as_bytes(), ROOT).expect("it is a list");
    assert_eq!(page.objects[0].key, key);
}

/// Checks that the text of an error is found or not, with the same meaning in either case. The status comes first, in
/// three digits.
pub fn refusal(bytes: &[u8]) {
    let (digits, document) = bytes.split_at(bytes.len().min(3));
    let status = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u16>().ok()).unwrap_or(500);
    let line = format!("HTTP/1.1 {:03} x\r\nretry-after: 99999999999999999999\r\n\r\n", status.clamp(200, 999));
    let head = Head::take(&mut BytesMut::from(line.as_str())).expect("it is well-formed").expect("it is whole");
    let Some(refusal) = ErrorResponse::from_document(&head, document) else { return };
    assert!(!refusal.code.is_empty() && refusal.status >= 400, "{refusal:?}");
    let _ = (refusal.is_throttling(), refusal.is_server_error());
    let _ = refusal.into_error(&ErrorContext::new("http://minio:9000".to_owned(), "b".to_owned()));
}

/// Checks that only our `ETag`s have a vendor's part, and that the parts of an address come back from it.
pub fn validator(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let vendor = unquote(text);
    let attributes = Attributes { content_type: text.to_owned(), content_encoding: None };
    let ours = with_attributes(&vendor, &attributes);
    assert_eq!(vendor_part(&ours), Some(vendor.as_str()).filter(|vendor| !vendor.is_empty()));
    if let Some(vendor) = vendor_part(&ETag::new(text)) {
        assert!(text.len() == vendor.len() + 9 && text.starts_with(vendor));
    }
    let mut encoded = String::new();
    encode_into(&mut encoded, text, true);
    assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#&+ \"<>".contains(&byte)), "{encoded}");
    assert_eq!(percent_decode_str(&encoded).decode_utf8().as_deref(), Ok(text));
    let read: Vec<(String, String)> =
        form_urlencoded::parse(query(&[("prefix", text)]).as_bytes()).into_owned().collect();
    assert_eq!(read, [("prefix".to_owned(), text.to_owned())]);
    let endpoint: Endpoint = "http://minio:9000".parse().expect("an origin");
    let path = Address::new(endpoint, "/b/").object(text);
    assert!(path.starts_with("/b/"));
}
