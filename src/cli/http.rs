//! HTTP requests of commands to a server, with their responses: small ones in memory, records streamed.

use std::{
    io::{self, Read, Write},
    net::IpAddr,
    path::Path,
};

use http::Uri;
use ureq::{Agent, Body, SendBody};

use crate::{
    clock::Timestamp,
    config::{Config, Given},
    server::reachable_address,
    transfer::{self, Trust},
};

/// Maximum length of a response that is no record.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// Variable that names a file with certificate authorities for servers.
const CA_FILE: &str = "LARDER_CA_FILE";

/// Server with its HTTP client.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// Origin of its URLs.
    pub(super) origin: String,
    /// The HTTP client.
    pub(super) agent: Agent,
}

/// Request of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// The method: GET, POST, PUT or DELETE.
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    /// Token of the caller, which is valid in a header.
    pub(super) token: Option<&'a str>,
}

/// Request body, read while it is sent.
pub(super) struct Upload<'a> {
    /// Its media type.
    pub(super) content_type: &'a str,
    /// Its length in bytes, if known before it is read.
    pub(super) length: Option<u64>,
    /// Its content.
    pub(super) source: &'a mut dyn Read,
}

/// Response whose body is still to be read.
pub(super) struct Download {
    /// The status.
    pub(super) status: u16,
    /// Its media type; empty if it has none.
    pub(super) content_type: String,
    /// Last modification of the resource, if reported.
    pub(super) modified_at: Option<Timestamp>,
    body: Body,
}

impl Download {
    /// Writes the whole body to `target`; fails if it is incomplete.
    pub(super) fn save(self, target: &mut dyn Write) -> io::Result<()> {
        let mut body = self.body.into_with_config().limit(u64::MAX).reader();
        io::copy(&mut body, target).map(drop)
    }

    /// Returns a small body as a text.
    pub(super) fn text(self) -> Result<String, ureq::Error> {
        self.body.into_with_config().limit(MAX_ANSWER_BYTES).read_to_string()
    }
}

impl Server {
    /// Returns the server at `url`, an origin; else the reason why the URL is invalid.
    pub(super) fn at(url: &str, given: &Given) -> Result<Self, String> {
        let origin = origin(url).ok_or_else(|| {
            format!(
                "{url:?} is not the address of a server; write it like http://127.0.0.1:8011 or https://larder.example"
            )
        })?;
        Ok(Self { agent: agent(&origin, given)?, origin })
    }

    /// Returns the server that runs with `config` on this machine.
    pub(super) fn of(config: &Config) -> Result<Self, String> {
        let origin = origin_of(config);
        let agent = transfer::agent(Trust::OwnMachine, true).map_err(|error| error.to_string())?;
        Ok(Self { origin, agent })
    }

    /// Sends a request with a body of any length, or none; leaves the response's body to be read.
    pub(super) fn exchange(&self, question: Question<'_>, upload: Option<Upload<'_>>) -> Result<Download, ureq::Error> {
        let Question { method, target, token } = question;
        let mut request = http::Request::builder().method(method).uri(format!("{}{target}", self.origin));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = match upload {
            None => self.agent.run(request.body(())?)?,
            Some(Upload { content_type, length, source }) => {
                let mut request = request.header("content-type", content_type);
                if let Some(length) = length {
                    request = request.header("content-length", length.to_string());
                }
                self.agent.run(request.body(SendBody::from_reader(source))?)?
            }
        };
        let status = answer.status().as_u16();
        let field = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let content_type = field("content-type").unwrap_or_default().to_owned();
        let modified_at = field("last-modified").and_then(|date| httpdate::parse_http_date(date).ok());
        let modified_at = modified_at.map(Timestamp::from);
        Ok(Download { status, content_type, modified_at, body: answer.into_body() })
    }

    /// Sends a request with a JSON document, or none; returns the status and the body of the response.
    pub(super) fn ask(&self, question: Question<'_>, body: Option<&str>) -> Result<(u16, String), ureq::Error> {
        let mut bytes = body.unwrap_or_default().as_bytes();
        let length = Some(bytes.len() as u64);
        let upload = body.map(|_| Upload { content_type: "application/json", length, source: &mut bytes });
        let answer = self.exchange(question, upload)?;
        Ok((answer.status, answer.text()?))
    }
}

/// Returns the origin of the server that runs with `config` on this machine.
pub(super) fn origin_of(config: &Config) -> String {
    let scheme = if config.server.tls.is_any() { "https" } else { "http" };
    format!("{scheme}://{}", reachable_address(config.server.listen))
}

/// Returns the HTTP client for the server at `url`.
pub(super) fn agent(url: &str, given: &Given) -> Result<Agent, String> {
    let trust = given.variable(CA_FILE).map_or(Trust::Browsers, |file| Trust::File(Path::new(file)));
    transfer::agent(trust, is_near(url)).map_err(|error| error.to_string())
}

/// Returns whether a URL leads to this machine.
pub(super) fn is_near(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| Some(uri.host()?.trim_matches(['[', ']']).to_owned()));
    host.is_some_and(|host| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

/// Returns the base of a server's URLs: an origin, and perhaps the path below which a proxy serves it.
fn origin(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    let path = uri.path().trim_end_matches('/');
    uri.query().is_none().then_some(format!("{scheme}://{}{path}", uri.authority()?))
}

/// Escapes a text as one segment of a path, or as a parameter's value; no HTTP layer may resolve it as a dot segment.
pub(super) fn segment(text: &str) -> String {
    /// Characters that need no escape.
    const PLAIN: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    if matches!(text, "." | "..") {
        return "%2E".repeat(text.len());
    }
    percent_encoding::utf8_percent_encode(text, &PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_where_an_origin_is() {
        assert_eq!(origin("http://a").as_deref(), Some("http://a"));
        assert_eq!(origin("http://[::1]:8011/").as_deref(), Some("http://[::1]:8011"));
        assert_eq!(origin("https://a").as_deref(), Some("https://a"));
        assert_eq!(origin("https://a/larder/").as_deref(), Some("https://a/larder"));
        for none in ["a:80", "ftp://a", "http://a?b"] {
            assert_eq!(origin(none), None, "{none}");
        }
    }
}
