//! The response documents for lists of keys and for copies.

use quick_xml::{
    Reader,
    events::{BytesRef, Event},
};

use larder_runtime::clock::Timestamp;

use super::{error_response::ErrorContext, etag::unquote, http1::Head};
use crate::{ETag, Error, ListPage, ListedObject, Result};

/// Maximum bytes of a list: 1,000 keys of 1,000 characters, each of which may be escaped, with owners and checksums.
pub const MAX_DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Parses a `ListBucketResult`. Ignores keys that do not begin with `prefix`.
pub fn parse_list(document: &[u8], prefix: &str) -> Result<ListPage> {
    let mut page = ListPage::default();
    let mut object = PartialObject::default();
    let mut is_list = false;
    for_each_text(document, |path, text| {
        is_list |= path[0] == "ListBucketResult";
        match path {
            [_, name] if name == "IsTruncated" => page.is_truncated = text == "true",
            [_, contents, name] if contents == "Contents" => object.set(name, text),
            [_, contents] if contents == "Contents" => {
                if let Some(listed) = std::mem::take(&mut object).finish(prefix)? {
                    page.objects.push(listed);
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    if is_list { Ok(page) } else { Err(malformed("it is not a list of keys")) }
}

/// Describes a response that is not a list.
pub fn describe_non_list(head: &Head, context: &ErrorContext) -> String {
    let endpoint = &context.endpoint;
    if let Some(coding) = head.get("content-encoding").filter(|coding| *coding != "identity") {
        return format!(
            "cannot list objects: the server at {endpoint} sent the list with Content-Encoding {coding}, which was not \
             requested ({context}); turn compression off at the proxy before the object store"
        );
    }
    let server_info: Vec<&str> = ["server", "content-type"].into_iter().filter_map(|name| head.get(name)).collect();
    format!(
        "cannot list objects: the server at {endpoint} has no S3 API ({}; {context}); check the host and the port of \
         LARDER_S3_ENDPOINT: a console or a web server listens on another port than the API",
        server_info.join(", ")
    )
}

/// Parses the `ETag` and the date of a `CopyObjectResult`.
pub fn parse_copy(document: &[u8]) -> Result<(ETag, Timestamp)> {
    let (mut etag, mut date) = (None, None);
    for_each_text(document, |path, text| {
        match path {
            [_, name] if name == "ETag" => etag = Some(unquote(&text)),
            [_, name] if name == "LastModified" => date = text.parse().ok(),
            _ => {}
        }
        Ok(())
    })?;
    etag.zip(date).ok_or_else(|| malformed("it is not the result of a copy"))
}

/// Returns the characters of `&name;` or `&#number;`.
pub fn resolve_entity(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return character.to_string();
    }
    quick_xml::escape::resolve_predefined_entity(reference).unwrap_or_default().to_owned()
}

#[derive(Debug, Default)]
struct PartialObject {
    key: Option<String>,
    size: Option<u64>,
    etag: Option<ETag>,
    last_modified: Option<Timestamp>,
}

impl PartialObject {
    fn set(&mut self, name: &str, text: String) {
        match name {
            "Key" => self.key = Some(text),
            "Size" => self.size = text.parse().ok(),
            "ETag" => self.etag = (!text.is_empty()).then(|| unquote(&text)),
            "LastModified" => self.last_modified = text.parse().ok(),
            _ => {}
        }
    }

    fn finish(self, prefix: &str) -> Result<Option<ListedObject>> {
        let (Some(key), Some(size), Some(last_modified)) = (self.key, self.size, self.last_modified) else {
            return Err(malformed("a key lacks its name, its size or its date"));
        };
        let key = key.strip_prefix(prefix).map(str::to_owned);
        // Unlike ours, the listed `ETag` does not cover the attributes.
        Ok(key.map(|key| ListedObject { key, size, etag: None, last_modified }))
    }
}

/// Calls `take` with the path of each element and its text, at its end. The path is never empty.
fn for_each_text(document: &[u8], mut take: impl FnMut(&[String], String) -> Result<()>) -> Result<()> {
    let mut reader = Reader::from_reader(document);
    reader.config_mut().expand_empty_elements = true;
    let (mut path, mut text) = (Vec::new(), String::new());
    loop {
        match reader.read_event().map_err(|error| malformed(&error.to_string()))? {
            Event::Start(start) => {
                path.push(start.local_name().as_ref().to_owned());
                text.clear();
            }
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::CData(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(name) => text.push_str(&resolve_entity(&name)),
            Event::End(_) => {
                take(&path, std::mem::take(&mut text))?;
                path.pop();
            }
            Event::Eof if path.is_empty() => return Ok(()),
            Event::Eof => return Err(malformed("it ends too early")),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn malformed(what: &str) -> Error {
    Error::Unavailable(format!("cannot read the response of the object store: {what}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_everything_that_is_escaped() {
        let document = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
              <Name>b</Name><Prefix>root/a</Prefix><IsTruncated>true</IsTruncated><StartAfter/>
              <Contents><Key>root/a&amp;b&#39;&lt;</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>
                <ETag>&quot;abc&quot;</ETag><Size>7</Size><Owner><ID>x</ID></Owner></Contents>
            </ListBucketResult>"#;
        let page = parse_list(document, "root/").expect("it is a list");
        assert!(page.is_truncated);
        assert_eq!((page.objects[0].key.as_str(), page.objects[0].size), ("a&b'<", 7));
    }

    #[test]
    fn truncated_lists_and_other_documents_are_rejected() {
        for document in ["", "<html></html>", "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>"]
        {
            assert!(parse_list(document.as_bytes(), "").is_err(), "{document}");
        }
        assert!(parse_list(b"<ListBucketResult><IsTruncated>false</IsTruncated>", "").is_err());
    }
}
