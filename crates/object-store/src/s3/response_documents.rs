//! The documents in responses: lists of keys, copies and errors. Errors are mapped and described for an operator.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::RwLock;
use quick_xml::{
    Reader,
    events::{BytesRef, Event},
};

use larder_runtime::clock::Timestamp;

use super::{
    http1::{Head, Response},
    object_headers::unquote,
};
use crate::{ETag, Error, ListPage, ListedObject, RejectedFor, Result};

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

// Error responses of object stores: their mapping to errors, their description for an operator, and advice.

/// Maximum bytes of an error document.
const MAX_ERROR_BYTES: u64 = 64 * 1024;

/// Maximum number of characters kept of a document that is not an S3 error.
const MAX_MESSAGE_CHARS: usize = 2048;

/// An error response.
#[derive(Debug)]
pub struct ErrorResponse {
    /// The status code.
    pub status: u16,
    /// The vendor's error code; empty if there was none.
    pub code: String,
    /// The vendor's message. It may name keys and buckets, but no secret.
    pub message: String,
    /// The region of the bucket, if the response names it.
    pub region: Option<String>,
    /// Location of a redirect.
    pub location: Option<String>,
    /// Time after which to retry.
    pub retry_after: Option<Duration>,
    /// The size of the object, for a range outside of it.
    pub size: Option<u64>,
    /// The software that responded, by its own header, and the media type of the response.
    server_info: Vec<String>,
}

impl ErrorResponse {
    /// Reads a response as an error.
    pub async fn read(response: Response) -> Self {
        let mut error = Self::from_head(&response.head);
        // An error whose document is lost is still an error.
        if let Ok(document) = response.into_bytes(MAX_ERROR_BYTES).await {
            error.read_document(&document);
        }
        error
    }

    /// Reads the error in the body of a response with status 200. Copies and completions can have one, since they take
    /// long and send their status first.
    pub fn from_document(head: &Head, document: &[u8]) -> Option<Self> {
        let mut error = Self::from_head(head);
        error.read_document(document);
        if error.code.is_empty() {
            return None;
        }
        error.set_status_from_code();
        Some(error)
    }

    /// Reads the response to a request of the SDK as an error, even if its status is 200.
    pub fn from_parts<'a>(status: u16, header: impl Fn(&str) -> Option<&'a str>, document: &[u8]) -> Self {
        let mut error = Self::from_fields(status, header);
        error.read_document(document);
        if status < 300 {
            error.set_status_from_code();
        }
        error
    }

    fn set_status_from_code(&mut self) {
        self.status = match self.code.as_str() {
            "PreconditionFailed" => 412,
            "ConditionalRequestConflict" | "OperationAborted" => 409,
            "NoSuchKey" => 404,
            "SlowDown" | "ServiceUnavailable" => 503,
            _ => 500,
        };
    }

    fn from_head(head: &Head) -> Self {
        Self::from_fields(head.status, |name| head.get(name))
    }

    fn from_fields<'a>(status: u16, header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let shown = |name: &str| header(name).map(|value| value.chars().take(80).collect());
        Self {
            status,
            code: String::new(),
            message: String::new(),
            region: header("x-amz-bucket-region").map(str::to_owned),
            location: header("location").map(str::to_owned),
            retry_after: header("retry-after").and_then(|value| value.trim().parse().ok()).map(Duration::from_secs),
            size: header("content-range").and_then(|range| range.rsplit_once('/')?.1.parse().ok()),
            server_info: [shown("server"), shown("content-type")].into_iter().flatten().collect(),
        }
    }

    fn read_document(&mut self, document: &[u8]) {
        for (name, text) in error_fields(document) {
            match name.as_str() {
                "Code" => self.code = text,
                "Message" => self.message = text,
                "Region" if self.region.is_none() => self.region = Some(text),
                _ => {}
            }
        }
        if self.code.is_empty() && self.message.is_empty() {
            self.message = String::from_utf8_lossy(document).chars().take(MAX_MESSAGE_CHARS).collect();
        }
    }

    /// Returns whether the response has a document that is not an S3 error.
    pub fn is_not_s3(&self) -> bool {
        self.code.is_empty() && !self.message.trim().is_empty()
    }

    /// Returns a description: the server, its message, bucket and key id, and advice.
    pub fn describe(&self, context: &ErrorContext) -> String {
        let Self { status, code, message, server_info, .. } = self;
        let endpoint = &context.endpoint;
        let response = if code.is_empty() {
            let server_info =
                if server_info.is_empty() { String::new() } else { format!(" ({})", server_info.join(", ")) };
            format!("the server at {endpoint} responded with {status} without an S3 error code{server_info}")
        } else {
            format!("the object store at {endpoint} responded with {status} {code}: {}", message.trim())
        };
        let advice = advice(*status, code, message).map(|advice| format!("; {advice}")).unwrap_or_default();
        format!("{response} ({context}){advice}")
    }

    /// Returns the property for which the same request would be rejected again, if it is known. Errors of credentials,
    /// permissions and clocks have none: they end once an operator has corrected them, and clients may retry until then.
    fn rejection_reason(&self) -> Option<RejectedFor> {
        Some(match (self.status, self.code.as_str()) {
            (413, _) | (400, "EntityTooLarge" | "MaxMessageLengthExceeded") => RejectedFor::Size,
            (414, _) | (400, "KeyTooLongError") => RejectedFor::Key,
            (431, _) | (400, "MetadataTooLarge") => RejectedFor::Attributes,
            // A proxy, or a server that is no object store, sends 400 for requests that it cannot read; nginx also for
            // headers that are too large.
            (400, "" | "InvalidArgument" | "InvalidURI" | "XMinioInvalidObjectName" | "InvalidStorageClass")
            | (406 | 411 | 415 | 417 | 422 | 451, _) => RejectedFor::Request,
            _ => return None,
        })
    }

    /// Returns whether the request certainly had no effect, and may succeed soon. A 503 without a code comes from a proxy,
    /// which may have lost the response of the object store. (Envoy)
    pub fn is_throttling(&self) -> bool {
        match (self.status, self.code.as_str()) {
            (429, _) => true,
            (503, code) => !code.is_empty(),
            // A 409 for a conditional write that met another one: "retry the upload".
            // (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html)
            (_, code) => matches!(
                code,
                "SlowDown" | "ConditionalRequestConflict" | "OperationAborted" | "RequestTimeout" | "TooManyRequests"
            ),
        }
    }

    /// Returns whether the outcome of the request is in doubt, and a retry may succeed.
    pub fn is_server_error(&self) -> bool {
        self.status >= 500 && self.status != 501
    }

    /// Maps it to a storage error.
    pub fn into_error(self, context: &ErrorContext) -> Error {
        if self.is_throttling() {
            return Error::Throttled { retry_after: self.retry_after };
        }
        if let Some(reason) = self.rejection_reason() {
            return Error::Rejected { reason, source: self.describe(context).into() };
        }
        match (self.status, self.code.as_str()) {
            (404, "" | "NoSuchKey" | "NotFound" | "NoSuchVersion" | "NoSuchLifecycleConfiguration") => Error::NotFound,
            (412, _) => Error::Precondition,
            (416, _) => Error::RangeNotSatisfiable { size: self.size.unwrap_or_default() },
            (405 | 501, _) | (_, "NotImplemented" | "MethodNotAllowed") => {
                Error::Unsupported("the object store does not implement it")
            }
            (400, "InvalidRequest") => Error::Unsupported("the object store does not accept it"),
            (507, _) | (_, "XMinioStorageFull" | "QuotaExceeded" | "InsufficientStorage") => {
                Error::Full(self.describe(context).into())
            }
            _ => Error::Unavailable(self.describe(context).into()),
        }
    }
}

/// Returns the texts directly below the root element `Error` of a document; none for other documents.
fn error_fields(document: &[u8]) -> Vec<(String, String)> {
    let mut reader = Reader::from_reader(document);
    let (mut path, mut fields, mut text) = (Vec::<String>::new(), Vec::new(), String::new());
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(start) => {
                path.push(start.local_name().as_ref().to_owned());
                text.clear();
                if path[0] != "Error" {
                    break;
                }
            }
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(name) => text.push_str(&resolve_entity(&name)),
            Event::End(_) => {
                if path.len() == 2 {
                    fields.push((path.pop().unwrap_or_default(), std::mem::take(&mut text)));
                } else {
                    path.pop();
                }
            }
            Event::Eof => break,
            Event::Empty(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
    }
    fields
}

/// Returns advice on an error with this status and S3 code, which may be empty; `message` is its text or document.
pub fn advice(status: u16, code: &str, message: &str) -> Option<&'static str> {
    Some(match (status, code) {
        (_, "InvalidAccessKeyId") => "the object store does not know this key id: check AWS_ACCESS_KEY_ID",
        (_, "SignatureDoesNotMatch") => {
            "the secret does not belong to this key id, or a proxy changes the host or the path of requests: check \
             AWS_SECRET_ACCESS_KEY, then the proxy"
        }
        (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
            "the session has ended, or the session token belongs to another key: renew AWS_SESSION_TOKEN"
        }
        (_, "RequestTimeTooSkewed") => "the clocks differ too much: synchronize the clock of this machine by NTP",
        (_, "NoSuchBucket") => "check LARDER_S3_BUCKET, or create the bucket",
        (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "PermanentRedirect")
        | (301 | 307 | 308, _) => "the bucket is elsewhere: check LARDER_S3_REGION and LARDER_S3_ENDPOINT",
        (413, _) | (_, "EntityTooLarge" | "MaxMessageLengthExceeded") => {
            "raise the maximum body size of the object store or of the proxy before it (nginx: client_max_body_size)"
        }
        (414, _) | (_, "KeyTooLongError") => {
            "raise the maximum URL length of the object store or of the proxy before it (nginx: \
             large_client_header_buffers)"
        }
        (431, _) | (_, "MetadataTooLarge") => {
            "raise the maximum header size of the object store or of the proxy before it (nginx: \
             large_client_header_buffers)"
        }
        (400, "") if mentions_tls(message) => "the port expects HTTPS: let LARDER_S3_ENDPOINT begin with https://",
        (401 | 403 | 407, "") => {
            "a proxy, or a server without an S3 API, rejects the request: check LARDER_S3_ENDPOINT"
        }
        (401 | 403, _) => {
            "allow the key to list the bucket, and to read, write and delete its objects (s3:ListBucket, s3:GetObject, \
             s3:PutObject, s3:DeleteObject)"
        }
        (404 | 405, "") => "this is not an S3 API: check the host and the port of LARDER_S3_ENDPOINT",
        _ => return None,
    })
}

/// Returns whether a web server complains of plain HTTP on a TLS port, as nginx, Apache and Go do.
fn mentions_tls(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("https") || message.contains("ssl")
}

/// The endpoint, bucket and key id of requests, for messages: an operator finds the wrong setting with them.
#[derive(Debug)]
pub struct ErrorContext {
    /// The scheme, host and port of the server.
    pub endpoint: String,
    bucket: String,
    key_id: RwLock<Arc<str>>,
}

impl ErrorContext {
    /// Returns the context of a bucket at an endpoint. The key is not known yet.
    pub fn new(endpoint: String, bucket: String) -> Self {
        Self { endpoint, bucket, key_id: RwLock::new(Arc::from("")) }
    }

    /// Records the id of the key that signs requests; the id is no secret.
    pub fn set_key_id(&self, key_id: &str) {
        let mut known = self.key_id.write();
        if **known != *key_id {
            *known = Arc::from(key_id);
        }
    }
}

/// Bucket and id of the key.
impl fmt::Display for ErrorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_id = self.key_id.read();
        write!(f, "bucket {}, key id {}", self.bucket, key_id)
    }
}

#[cfg(test)]
mod list_tests {
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

#[cfg(test)]
mod error_tests {
    use super::*;

    #[test]
    fn only_the_fields_of_an_error_document_are_read() {
        let document = b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>a &amp; b</Message><X><Code>no</Code></X></Error>";
        let fields = error_fields(document);
        assert_eq!(fields[..2], [("Code".into(), "SlowDown".into()), ("Message".into(), "a & b".into())]);
        assert!(error_fields(b"<CopyObjectResult><Code>SlowDown</Code></CopyObjectResult>").is_empty());
        assert!(error_fields(b"not XML").is_empty());
    }
}
