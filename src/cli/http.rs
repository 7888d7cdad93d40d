//! One request of a command to a server, and its answer: small ones in memory, records as they come and go.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use http::Uri;
use ureq::{Agent, Body, SendBody};

/// How long connecting and each read may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most of an answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// Host and port of an `http` URL.
pub(super) fn authority(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok()?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"))?;
    Some(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)))
}

/// What a command asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// The method.
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    /// What the caller is known by; it can be in a header.
    pub(super) token: Option<&'a str>,
    /// A JSON document, or nothing.
    pub(super) body: &'a str,
}

/// What is sent along with a question, read as it is sent.
pub(super) struct Upload<'a> {
    /// Its media type.
    pub(super) content_type: &'a str,
    /// How long it is.
    pub(super) length: u64,
    /// Where it comes from.
    pub(super) source: &'a mut dyn Read,
}

/// An answer whose body is still to be read.
pub(super) struct Download {
    /// The status.
    pub(super) status: u16,
    /// Its media type; empty if it has none.
    pub(super) content_type: String,
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

/// A text as one segment of a path, or as the value of a parameter.
pub(super) fn segment(text: &str) -> String {
    /// What needs no escape.
    const PLAIN: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, &PLAIN).to_string()
}

/// Asks the server at `authority` with a body of any length, or none; that of the answer is left to be read. The only methods
/// are GET and POST.
pub(super) fn exchange(
    authority: &str,
    question: Question<'_>,
    upload: Option<Upload<'_>>,
) -> Result<Download, ureq::Error> {
    let Question { method, target, token, .. } = question;
    let config = Agent::config_builder()
        .timeout_connect(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
        .timeout_per_write(Some(TIMEOUT))
        .http_status_as_error(false)
        .build();
    let (agent, url) = (Agent::from(config), format!("http://{authority}{target}"));
    let authorization = token.map(|token| format!("Bearer {token}")).unwrap_or_default();
    let answer = if method == "GET" {
        agent.get(url).header("authorization", authorization).call()?
    } else {
        let request = agent.post(url).header("authorization", authorization);
        match upload {
            None => request.send_empty()?,
            Some(Upload { content_type, length, source }) => {
                let request = request.header("content-type", content_type).header("content-length", length.to_string());
                request.send(SendBody::from_reader(source))?
            }
        }
    };
    let status = answer.status().as_u16();
    let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(Download { status, content_type: content_type.to_owned(), body: answer.into_body() })
}

fn connect(authority: &str) -> io::Result<TcpStream> {
    let mut connected = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in authority.to_socket_addrs()? {
        connected = TcpStream::connect_timeout(&address, TIMEOUT);
        if connected.is_ok() {
            break;
        }
    }
    let stream = connected?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Asks the server at `authority`; the status and the body of its answer.
pub(super) fn ask(authority: &str, question: Question<'_>) -> io::Result<(u16, String)> {
    let Question { method, target, token, body } = question;
    let mut stream = connect(authority)?;
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let framing = match body.len() {
        0 => String::new(),
        length => format!("content-type: application/json\r\ncontent-length: {length}\r\n"),
    };
    // HTTP/1.0: an answer in one piece, that ends with the connection.
    let head = format!("{method} {target} HTTP/1.0\r\nhost: {authority}\r\n{authorization}{framing}\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no HTTP"))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_has_an_authority_to_ask() {
        assert_eq!(authority("http://a"), Some("a:80".to_owned()));
        assert_eq!(authority("http://[::1]:8011/"), Some("[::1]:8011".to_owned()));
        assert_eq!(authority("https://a"), None);
        assert_eq!(authority("a:80"), None);
    }
}
