//! What an object store says when it does not do what it was asked, and what that means.

use std::time::Duration;

use quick_xml::{Reader, events::Event};

use super::{
    super::error::Error,
    wire::{Head, Incoming},
};

/// The most bytes of an error's document.
const DOCUMENT_LIMIT: u64 = 64 * 1024;

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
        refusal.status = match refusal.code.as_str() {
            "PreconditionFailed" => 412,
            "ConditionalRequestConflict" | "OperationAborted" => 409,
            "NoSuchKey" => 404,
            "SlowDown" | "ServiceUnavailable" => 503,
            _ => 500,
        };
        Some(refusal)
    }

    fn of_head(head: &Head) -> Self {
        Self {
            status: head.status,
            code: String::new(),
            message: String::new(),
            region: head.get("x-amz-bucket-region").map(str::to_owned),
            location: head.get("location").map(str::to_owned),
            retry_after: head.get("retry-after").and_then(|value| value.trim().parse().ok()).map(Duration::from_secs),
            size: head.get("content-range").and_then(|range| range.rsplit_once('/')?.1.parse().ok()),
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
    pub fn into_error(self) -> Error {
        if self.is_throttling() {
            return Error::Throttled { retry_after: self.retry_after };
        }
        let Self { status, code, message, size, .. } = self;
        match (status, code.as_str()) {
            (404, "" | "NoSuchKey" | "NotFound" | "NoSuchVersion" | "NoSuchLifecycleConfiguration") => Error::NotFound,
            (412, _) => Error::Precondition,
            (416, _) => Error::RangeNotSatisfiable { size: size.unwrap_or_default() },
            (405 | 501, _) | (_, "NotImplemented" | "MethodNotAllowed") => {
                Error::Unsupported("the object store does not implement it")
            }
            (400, "InvalidRequest" | "EntityTooLarge") => Error::Unsupported("the object store does not take it"),
            (507, _) | (_, "XMinioStorageFull" | "QuotaExceeded" | "InsufficientStorage") => {
                Error::Full(format!("the object store says {code}: {message}").into())
            }
            _ => Error::Unavailable(format!("the object store says {status} {code}: {message}").into()),
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
