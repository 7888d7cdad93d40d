//! A request to an object store, before it is signed and serialized.

use std::borrow::Cow;

use larder_runtime::telemetry::CallClass;

use super::{
    credentials::Credentials,
    http1::{Http1Request, RequestBody},
    location::Address,
    signer::{Signable, SigningTime, UNSIGNED_PAYLOAD, authorization},
};
use crate::{Error, Result};

/// An unsigned request.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'static str,
    /// The object; `None` for the bucket itself.
    pub key: Option<&'a str>,
    /// The query, percent-encoded and in the order of its names.
    pub query: String,
    /// Header fields besides those of every request, with lower-case names.
    pub headers: Vec<(&'static str, Cow<'a, str>)>,
    /// The body.
    pub body: RequestBody,
    /// The length of the body.
    pub length: u64,
    /// The hash of the body in hexadecimal, if it will be signed.
    pub payload_hash: Option<String>,
    /// True if the body is sent only after `100 Continue`.
    pub awaits_continue: bool,
}

impl<'a> Request<'a> {
    /// Returns a request without a body.
    pub fn new(method: &'static str, key: Option<&'a str>) -> Self {
        Self {
            method,
            key,
            query: String::new(),
            headers: Vec::new(),
            body: RequestBody::empty(),
            length: 0,
            payload_hash: None,
            awaits_continue: false,
        }
    }

    /// Adds a header field.
    pub fn header(&mut self, name: &'static str, value: impl Into<Cow<'a, str>>) {
        self.headers.push((name, value.into()));
    }

    /// Signs and serializes the request; takes the body out of `self`, and [`Request::restore_body`] returns it.
    pub fn sign(
        &mut self,
        address: &Address,
        region: &str,
        credentials: &Credentials,
        time: SigningTime,
    ) -> Result<Http1Request> {
        let object = self.key.map(|key| address.object(key));
        let path = object.as_deref().unwrap_or_else(|| address.bucket());
        let payload = self.payload_hash.as_deref().unwrap_or(UNSIGNED_PAYLOAD);
        let mut headers: Vec<(&str, &str)> = Vec::with_capacity(self.headers.len() + 4);
        headers.push(("host", &address.host));
        headers.push(("x-amz-content-sha256", payload));
        headers.push(("x-amz-date", time.as_str()));
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", token));
        }
        let (sign, plain): (Vec<_>, Vec<_>) = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .partition(|(name, _)| name.starts_with("x-amz-") || *name == "content-md5");
        headers.extend(sign);
        headers.sort_unstable();
        let signable = Signable { method: self.method, path, query: &self.query, headers: &headers, payload };
        let authorization = authorization(&signable, time, region, credentials);

        let mut head = String::with_capacity(1024);
        head.extend([self.method, " ", path]);
        if !self.query.is_empty() {
            head.extend(["?", &self.query]);
        }
        head.push_str(" HTTP/1.1\r\n");
        // Not signed, since proxies and object stores change it (GCS).
        // (https://github.com/aws/aws-sdk-go-v2/issues/1816)
        if !plain.iter().any(|(name, _)| *name == "accept-encoding") {
            headers.push(("accept-encoding", "identity"));
        }
        headers.extend(plain);
        headers.push(("authorization", &authorization));
        for (name, value) in headers {
            // Header fields come from attributes, which clients may have written. Not by `any`, which checks one byte
            // at a time.
            if value.bytes().fold(false, |found, byte| found | byte.is_ascii_control()) {
                return Err(Error::Unsupported("control characters in attributes"));
            }
            head.extend([name, ": ", value, "\r\n"]);
        }
        if self.length > 0 || self.method == "PUT" || self.method == "POST" {
            head.extend(["content-length: ", &self.length.to_string(), "\r\n"]);
        }
        if self.awaits_continue {
            head.push_str("expect: 100-continue\r\n");
        }
        head.push_str("\r\n");
        Ok(Http1Request {
            head: head.into(),
            body: std::mem::replace(&mut self.body, RequestBody::empty()),
            awaits_continue: self.awaits_continue,
            is_head: self.method == "HEAD",
            class: Some(CallClass::for_request(self.method, &self.query)),
            attempt: 1,
        })
    }

    /// Restores the body after an exchange, for a retry.
    pub fn restore_body(&mut self, sent: Http1Request) {
        self.body = sent.body;
    }
}
