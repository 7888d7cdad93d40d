//! Requests to an object store, before they are serialized, and their signatures: AWS Signature Version 4, as object
//! stores accept it.
//!
//! Pure functions sign: time, keys and request in, the header field `Authorization` out. A test compares the signatures
//! with the `aws-sigv4` crate. The key of a day is four hashes away from the secret, and therefore cached.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use larder_runtime::{clock::Timestamp, telemetry::CallClass};

use super::{
    credentials::Credentials,
    http1::{Http1Request, RequestBody},
    location::Address,
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

/// The name of the service in signatures.
pub const SERVICE: &str = "s3";

/// Value in place of the hash of a body that is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The time of a signature, `YYYYMMDDTHHMMSSZ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningTime([u8; 16]);

impl SigningTime {
    /// Formats a time for a signature.
    pub fn new(now: Timestamp) -> Self {
        let seconds = now.as_millis().div_euclid(1000);
        let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let moment = jiff::tz::Offset::UTC.to_datetime(moment);
        let mut text = *b"00000000T000000Z";
        let number = |part: i8| u32::from(part.unsigned_abs());
        write_digits(&mut text[0..4], u32::from(moment.year().unsigned_abs()));
        write_digits(&mut text[4..6], number(moment.month()));
        write_digits(&mut text[6..8], number(moment.day()));
        write_digits(&mut text[9..11], number(moment.hour()));
        write_digits(&mut text[11..13], number(moment.minute()));
        write_digits(&mut text[13..15], number(moment.second()));
        Self(text)
    }

    /// Returns the value of `x-amz-date`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn day(&self) -> [u8; 8] {
        let mut day = [0; 8];
        day.copy_from_slice(&self.0[..8]);
        day
    }
}

/// The signed parts of a request.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as sent, percent-encoded.
    pub path: &'a str,
    /// The query as sent, percent-encoded and sorted by name.
    pub query: &'a str,
    /// The signed header fields, with lower-case names and sorted: at least `host` and all `x-amz-`.
    pub headers: &'a [(&'a str, &'a str)],
    /// The hash of the body in hexadecimal, or [`UNSIGNED_PAYLOAD`]; also the value of `x-amz-content-sha256`.
    pub payload: &'a str,
}

/// Returns the value of the header field `Authorization`.
pub fn authorization(request: &Signable<'_>, time: SigningTime, region: &str, credentials: &Credentials) -> String {
    let mut names = String::with_capacity(128);
    for (name, _) in request.headers {
        if !names.is_empty() {
            names.push(';');
        }
        names.push_str(name);
    }
    let canonical = hash_canonical(request, &names);
    let day = time.day();
    let day_text = std::str::from_utf8(&day).unwrap_or_default();
    let mut canonical_hex = [0; 64];
    write_hex(&mut canonical_hex, &canonical);
    let signature = credentials.signing_key(day, region).sign(&[
        b"AWS4-HMAC-SHA256\n",
        &time.0,
        b"\n",
        &day,
        b"/",
        region.as_bytes(),
        b"/",
        SERVICE.as_bytes(),
        b"/aws4_request\n",
        &canonical_hex,
    ]);
    let mut signature_hex = [0; 64];
    write_hex(&mut signature_hex, &signature);
    let signature = std::str::from_utf8(&signature_hex).unwrap_or_default();
    let key = credentials.access_key_id.as_str();
    let scope = ["AWS4-HMAC-SHA256 Credential=", key, "/", day_text, "/", region, "/", SERVICE, "/aws4_request"];
    [&scope.concat(), ", SignedHeaders=", &names, ", Signature=", signature].concat()
}

/// Returns the hash of bytes in hexadecimal.
pub fn payload_hash(bytes: &[u8]) -> String {
    let mut hex = [0; 64];
    write_hex(&mut hex, &Sha256::digest(bytes).into());
    std::str::from_utf8(&hex).unwrap_or_default().to_owned()
}

fn hash_canonical(request: &Signable<'_>, names: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [request.method, "\n", request.path, "\n", request.query, "\n"] {
        hash.update(part);
    }
    for (name, value) in request.headers {
        hash.update(name);
        hash.update(":");
        hash.update(value.trim());
        hash.update("\n");
    }
    for part in ["\n", names, "\n", request.payload] {
        hash.update(part);
    }
    hash.finalize().into()
}

fn write_digits(text: &mut [u8], mut number: u32) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

fn write_hex(text: &mut [u8; 64], bytes: &[u8; 32]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// A key for one day, one region and our service.
#[derive(Clone)]
pub struct SigningKey {
    day: [u8; 8],
    region: String,
    key: Hmac<Sha256>,
}

impl SigningKey {
    /// Derives the key from a secret.
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>)
    pub fn derive(secret: &str, day: [u8; 8], region: &str) -> Self {
        let mut key = new_hmac(format!("AWS4{secret}").as_bytes());
        for part in [&day[..], region.as_bytes(), SERVICE.as_bytes(), b"aws4_request"] {
            key.update(part);
            key = new_hmac(&key.finalize().into_bytes());
        }
        Self { day, region: region.to_owned(), key }
    }

    /// Returns whether it is the key of this day and region.
    pub fn matches(&self, day: [u8; 8], region: &str) -> bool {
        self.day == day && self.region == region
    }

    /// Signs the concatenated parts.
    pub fn sign(self, parts: &[&[u8]]) -> [u8; 32] {
        let mut key = self.key;
        for part in parts {
            key.update(part);
        }
        key.finalize().into_bytes().into()
    }
}

fn new_hmac(key: &[u8]) -> Hmac<Sha256> {
    // HMAC accepts keys of any length.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "GET Object" of
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let empty = payload_hash(b"");
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", empty.as_str()),
            ("x-amz-date", "20130524T000000Z"),
        ];
        let request = Signable { method: "GET", path: "/test.txt", query: "", headers: &headers, payload: &empty };
        let time = SigningTime::new("2013-05-24T00:00:00.000Z".parse().expect("a date"));
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned();
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE".to_owned(), secret, None, None);
        assert_eq!(
            authorization(&request, time, "us-east-1", &credentials),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }
}
