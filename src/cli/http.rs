//! Requests of commands to a server, and its answers: small ones in memory, records as they come and go.

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

/// The most of an answer that is read, if it is no record.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// The variable that names a file with authorities by which servers are known.
const CA_FILE: &str = "LARDER_CA_FILE";

/// A server.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// How its URLs begin.
    pub(super) origin: String,
    /// What asks it.
    pub(super) agent: Agent,
}

/// What a command asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// The method: GET, POST, PUT or DELETE.
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    /// What the caller is known by; it can be in a header.
    pub(super) token: Option<&'a str>,
}

/// What is sent along with a question, read as it is sent.
pub(super) struct Upload<'a> {
    /// Its media type.
    pub(super) content_type: &'a str,
    /// Number of its bytes, if that is known before it is read.
    pub(super) length: Option<u64>,
    /// Where it comes from.
    pub(super) source: &'a mut dyn Read,
}

/// An answer whose body is still to be read.
pub(super) struct Download {
    /// The status.
    pub(super) status: u16,
    /// Its media type; empty if it has none.
    pub(super) content_type: String,
    /// Time of the last change of what was asked for, if it is told.
    pub(super) modified_at: Option<Timestamp>,
    body: Body,
}

impl Download {
    /// Writes the whole body to `target`; fails if it is cut off.
    pub(super) fn save(self, target: &mut dyn Write) -> io::Result<()> {
        let mut body = self.body.into_with_config().limit(u64::MAX).reader();
        io::copy(&mut body, target).map(drop)
    }

    /// The body as a text; for small ones.
    pub(super) fn text(self) -> Result<String, ureq::Error> {
        self.body.into_with_config().limit(MAX_ANSWER_BYTES).read_to_string()
    }
}

impl Server {
    /// The server at `url`, an origin; why there can be none otherwise.
    pub(super) fn at(url: &str, given: &Given) -> Result<Self, String> {
        let origin = origin(url).ok_or_else(|| {
            format!(
                "{url:?} is not the address of a server; write it like http://127.0.0.1:8011 or https://larder.example"
            )
        })?;
        Ok(Self { agent: agent(&origin, given)?, origin })
    }

    /// The server that runs with `config` on this machine.
    pub(super) fn of(config: &Config) -> Result<Self, String> {
        let origin = origin_of(config);
        let agent = transfer::agent(Trust::OwnMachine, true).map_err(|error| error.to_string())?;
        Ok(Self { origin, agent })
    }

    /// Asks with a body of any length, or none; that of the answer is left to be read.
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

    /// Asks with a JSON document, or nothing; the status and the body of the answer.
    pub(super) fn ask(&self, question: Question<'_>, body: Option<&str>) -> Result<(u16, String), ureq::Error> {
        let mut bytes = body.unwrap_or_default().as_bytes();
        let length = Some(bytes.len() as u64);
        let upload = body.map(|_| Upload { content_type: "application/json", length, source: &mut bytes });
        let answer = self.exchange(question, upload)?;
        Ok((answer.status, answer.text()?))
    }
}

/// Returns how the URLs of the server begin that runs with `config` on this machine.
pub(super) fn origin_of(config: &Config) -> String {
    let scheme = if config.server.tls.is_any() { "https" } else { "http" };
    format!("{scheme}://{}", reachable_address(config.server.listen))
}

/// What asks the server at `url`.
pub(super) fn agent(url: &str, given: &Given) -> Result<Agent, String> {
    let trust = given.variable(CA_FILE).map_or(Trust::Browsers, |file| Trust::File(Path::new(file)));
    transfer::agent(trust, is_near(url)).map_err(|error| error.to_string())
}

/// Returns whether a URL leads to this machine.
pub(super) fn is_near(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| Some(uri.host()?.trim_matches(['[', ']']).to_owned()));
    host.is_some_and(|host| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

/// Returns what the URLs of a server begin with: an origin, and perhaps the path below which a proxy serves it.
fn origin(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    let path = uri.path().trim_end_matches('/');
    uri.query().is_none().then_some(format!("{scheme}://{}{path}", uri.authority()?))
}

/// A text as one segment of a path, or as the value of a parameter; no HTTP layer may take it for a step in the path.
pub(super) fn segment(text: &str) -> String {
    /// What needs no escape.
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
