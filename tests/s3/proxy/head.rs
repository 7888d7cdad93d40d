//! The head of a request or an answer, kept as the bytes that came.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The longest head that is taken, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// A first line and headers.
#[derive(Debug)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    first_line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head up to and with its empty line. The end before the first byte is `None`, later it is an error.
    pub(crate) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut lines = Vec::new();
        loop {
            let start = bytes.len();
            from.read_until(b'\n', &mut bytes).await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            if bytes.last() != Some(&b'\n') || bytes.len() > MOST_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let line = String::from_utf8_lossy(&bytes[start..]).trim_end_matches(['\r', '\n']).to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut lines = lines.into_iter();
        let first_line = lines.next().unwrap_or_default();
        let headers = lines.filter_map(|line| {
            line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Ok(Some(Self { headers: headers.collect(), first_line, bytes }))
    }

    /// As it came.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns a word of the first line, from 0; empty when there are fewer.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.first_line.split(' ').nth(index).unwrap_or_default()
    }

    /// Returns the status of an answer; 0 when it has none.
    pub(crate) fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or_default()
    }

    /// Returns all headers, their names in small letters.
    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns the value of a header, its name given in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns `true` if the connection ends after this.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}
