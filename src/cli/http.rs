//! One request of a command to a server, and its answer. For small ones: both are in memory.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use http::Uri;

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

/// Asks the server at `authority`; the status and the body of its answer.
pub(super) fn ask(authority: &str, question: Question<'_>) -> io::Result<(u16, String)> {
    let Question { method, target, token, body } = question;
    let mut connected = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in authority.to_socket_addrs()? {
        connected = TcpStream::connect_timeout(&address, TIMEOUT);
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
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
