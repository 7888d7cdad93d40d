//! `larder health`: whether a running server is ready. Made for the health checks of containers, which have no curl.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use http::Uri;

use crate::{
    config::{Given, load},
    server::reachable_address,
};

use super::{exit, output};

/// What is asked.
const PATH: &str = "/health/ready";

/// How long connecting and each read may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The most of an answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Asks the server at `url`, or else where the configuration says that one listens.
pub(super) fn health(url: Option<String>, given: &Given) -> ExitCode {
    let url = match url.or_else(|| given.variable("LARDER_URL").map(str::to_owned)) {
        Some(url) => url,
        None => match load(given) {
            Ok(loaded) => format!("http://{}", reachable_address(loaded.config.server.listen)),
            Err(problems) => {
                output::complain(&problems.to_string());
                return exit::wrong_settings();
            }
        },
    };
    let Some(authority) = authority(&url) else {
        output::complain(&format!("{url:?} is not the address of a server; write it like http://127.0.0.1:8011"));
        return exit::wrong_settings();
    };
    match ask(&authority) {
        Ok((200, _)) => {
            output::say("ready");
            ExitCode::SUCCESS
        }
        Ok((status, body)) => {
            output::complain(&format!("not ready ({status}): {}", body.trim()));
            exit::failed()
        }
        Err(error) => {
            output::complain(&format!("no answer from {authority}: {error}"));
            exit::failed()
        }
    }
}

/// Host and port of an `http` URL.
fn authority(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok()?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"))?;
    Some(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)))
}

fn ask(authority: &str) -> io::Result<(u16, String)> {
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
    write!(stream, "GET {PATH} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
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
