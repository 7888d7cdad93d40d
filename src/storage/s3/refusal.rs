//! What an object store says when it does not do what it was asked, and what that means.

use std::time::Duration;

use quick_xml::{Reader, events::Event};

use super::{
    super::error::{Error, RejectedFor},
    advice::advice,
    origin::Origin,
    wire::{Head, Incoming},
};

/// The most bytes of an error's document.
const DOCUMENT_LIMIT: u64 = 64 * 1024;

/// Most characters that are kept of a document that is no error of S3.
const WORDS_LIMIT: usize = 2048;

/// An answer that is an error.
#[derive(Debug)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// The vendor's code of the error; empty where there was none.
    pub code: String,
    /// The vendor's words. They may name keys and buckets, but no secret.
    pub message: String,
    /// The region in which the bucket is, where the answer says so.
    pub region: Option<String>,
    /// Where else to ask.
    pub location: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The size of the object, in the answer to a range outside of it.
    pub size: Option<u64>,
    /// The make of what answered, in its own words, and the media type of the answer.
    made_by: Vec<String>,
}

impl Refusal {
    /// Reads an answer as an error.
    pub async fn read(incoming: Incoming) -> Self {
        let mut refusal = Self::of_head(&incoming.head);
        // An error whose words are lost is an error all the same.
        if let Ok(document) = incoming.into_bytes(DOCUMENT_LIMIT).await {
            refusal.take_words(&document);
        }
        refusal
    }

    /// Reads the error in the body of an answer whose status is 200: copies and completions are answered so, since they
    /// take long and their status is sent at their beginning.
    pub fn of_document(head: &Head, document: &[u8]) -> Option<Self> {
        let mut refusal = Self::of_head(head);
        refusal.take_words(document);
        if refusal.code.is_empty() {
            return None;
        }
        refusal.take_status_of_code();
        Some(refusal)
    }

    /// Reads the answer to a request of the SDK as an error, also where its status is 200.
    pub fn of_parts<'a>(status: u16, header: impl Fn(&str) -> Option<&'a str>, document: &[u8]) -> Self {
        let mut refusal = Self::of_fields(status, header);
        refusal.take_words(document);
        if status < 300 {
            refusal.take_status_of_code();
        }
        refusal
    }

    fn take_status_of_code(&mut self) {
        self.status = match self.code.as_str() {
            "PreconditionFailed" => 412,
            "ConditionalRequestConflict" | "OperationAborted" => 409,
            "NoSuchKey" => 404,
            "SlowDown" | "ServiceUnavailable" => 503,
            _ => 500,
        };
    }

    fn of_head(head: &Head) -> Self {
        Self::of_fields(head.status, |name| head.get(name))
    }

    fn of_fields<'a>(status: u16, header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let shown = |name: &str| header(name).map(|value| value.chars().take(80).collect());
        Self {
            status,
            code: String::new(),
            message: String::new(),
            region: header("x-amz-bucket-region").map(str::to_owned),
            location: header("location").map(str::to_owned),
            retry_after: header("retry-after").and_then(|value| value.trim().parse().ok()).map(Duration::from_secs),
            size: header("content-range").and_then(|range| range.rsplit_once('/')?.1.parse().ok()),
            made_by: [shown("server"), shown("content-type")].into_iter().flatten().collect(),
        }
    }

    fn take_words(&mut self, document: &[u8]) {
        for (name, text) in error_fields(document) {
            match name.as_str() {
                "Code" => self.code = text,
                "Message" => self.message = text,
                "Region" if self.region.is_none() => self.region = Some(text),
                _ => {}
            }
        }
        if self.code.is_empty() && self.message.is_empty() {
            self.message = String::from_utf8_lossy(document).chars().take(WORDS_LIMIT).collect();
        }
    }

    /// Returns whether the answer has a document that is no error of S3.
    pub fn is_foreign(&self) -> bool {
        self.code.is_empty() && !self.message.trim().is_empty()
    }

    /// Returns the answer in words: the server, what it says, for which bucket and key, and what to do.
    pub fn words(&self, origin: &Origin) -> String {
        let Self { status, code, message, made_by, .. } = self;
        let endpoint = &origin.endpoint;
        let said = if code.is_empty() {
            let made_by = if made_by.is_empty() { String::new() } else { format!(" ({})", made_by.join(", ")) };
            format!("the server at {endpoint} answers {status} without an error code of S3{made_by}")
        } else {
            format!("the object store at {endpoint} answers {status} {code}: {}", message.trim())
        };
        let advice = advice(*status, code, message).map(|advice| format!("; {advice}")).unwrap_or_default();
        format!("{said} ({origin}){advice}")
    }

    /// Returns the property for which the same request would be refused again, if that is known. What credentials, permissions
    /// and clocks are to blame for is not among it: it ends when an operator has put them right, and clients may wait for that.
    fn rejected_for(&self) -> Option<RejectedFor> {
        Some(match (self.status, self.code.as_str()) {
            (413, _) | (400, "EntityTooLarge" | "MaxMessageLengthExceeded") => RejectedFor::Size,
            (414, _) | (400, "KeyTooLongError") => RejectedFor::Key,
            (431, _) | (400, "MetadataTooLarge") => RejectedFor::Attributes,
            // A proxy, or a server that is no object store, says 400 of requests that it cannot read; nginx also of headers that
            // are too large.
            (400, "" | "InvalidArgument" | "InvalidURI" | "XMinioInvalidObjectName" | "InvalidStorageClass")
            | (406 | 411 | 415 | 417 | 422 | 451, _) => RejectedFor::Request,
            _ => return None,
        })
    }

    /// Whether the same request may succeed in a moment, and has certainly not been carried out. A 503 without a code comes
    /// from something between us and the object store, which may have lost the answer on its way back. (Envoy)
    pub fn is_throttling(&self) -> bool {
        match (self.status, self.code.as_str()) {
            (429, _) => true,
            (503, code) => !code.is_empty(),
            // A 409 to a conditional write that met another one: "retry the upload".
            // (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html)
            (_, code) => matches!(
                code,
                "SlowDown" | "ConditionalRequestConflict" | "OperationAborted" | "RequestTimeout" | "TooManyRequests"
            ),
        }
    }

    /// Whether the same request may succeed in a moment, and may have been carried out.
    pub fn is_fault(&self) -> bool {
        self.status >= 500 && self.status != 501
    }

    /// What it means to whoever asked.
    pub fn into_error(self, origin: &Origin) -> Error {
        if self.is_throttling() {
            return Error::Throttled { retry_after: self.retry_after };
        }
        if let Some(reason) = self.rejected_for() {
            return Error::Rejected { reason, source: self.words(origin).into() };
        }
        match (self.status, self.code.as_str()) {
            (404, "" | "NoSuchKey" | "NotFound" | "NoSuchVersion" | "NoSuchLifecycleConfiguration") => Error::NotFound,
            (412, _) => Error::Precondition,
            (416, _) => Error::RangeNotSatisfiable { size: self.size.unwrap_or_default() },
            (405 | 501, _) | (_, "NotImplemented" | "MethodNotAllowed") => {
                Error::Unsupported("the object store does not implement it")
            }
            (400, "InvalidRequest") => Error::Unsupported("the object store does not take it"),
            (507, _) | (_, "XMinioStorageFull" | "QuotaExceeded" | "InsufficientStorage") => {
                Error::Full(self.words(origin).into())
            }
            _ => Error::Unavailable(self.words(origin).into()),
        }
    }
}

/// The texts directly below the element `Error` at the root of a document; none when it is something else.
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
            Event::GeneralRef(name) => text.push_str(&super::listing::resolve(&name)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_error_are_found_and_nothing_else_is_taken_for_one() {
        let document = b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>a &amp; b</Message><X><Code>no</Code></X></Error>";
        let fields = error_fields(document);
        assert_eq!(fields[..2], [("Code".into(), "SlowDown".into()), ("Message".into(), "a & b".into())]);
        assert!(error_fields(b"<CopyObjectResult><Code>SlowDown</Code></CopyObjectResult>").is_empty());
        assert!(error_fields(b"not XML").is_empty());
    }
}
