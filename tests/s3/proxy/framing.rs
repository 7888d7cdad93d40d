//! The head of a request or response, kept as the bytes that came, and the framing of a body: by its length, its last chunk,
//! or the end of the connection.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Remaining part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes follow.
    Length(u64),
    /// Chunks follow.
    Chunked(Chunks),
    /// Everything follows until the connection ends.
    UntilClosed,
}

/// A place in a body of chunks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// In the line with the length of the next chunk.
    Size { bytes: u64, is_extension: bool },
    /// So many bytes before the end of a chunk.
    Data(u64),
    /// In the end of a line behind a chunk.
    DataEnd,
    /// Behind the last chunk, in a line that is still empty or not.
    Trailer { is_empty: bool },
    /// At the end.
    Over,
}

impl Framing {
    /// Returns the framing of a request's body.
    pub(crate) fn of_request(head: &Head) -> Self {
        Self::announced(head).unwrap_or(Self::Length(0))
    }

    /// Returns the framing of the body of a final response to a request of this method.
    pub(crate) fn of_answer(head: &Head, method: &str) -> Self {
        if method == "HEAD" || matches!(head.status(), 204 | 304) {
            return Self::Length(0);
        }
        Self::announced(head).unwrap_or(Self::UntilClosed)
    }

    fn announced(head: &Head) -> Option<Self> {
        let coding = head.header("transfer-encoding");
        if coding.is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked")) {
            return Some(Self::Chunked(Chunks::Size { bytes: 0, is_extension: false }));
        }
        head.header("content-length").and_then(|length| length.parse().ok()).map(Self::Length)
    }

    /// Returns `true` if the whole body was taken.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks::Over))
    }

    /// Takes bytes of the connection. Returns the number of those that belong to the body.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(left) => take_counted(left, bytes.len()),
            Self::UntilClosed => bytes.len(),
            Self::Chunked(chunks) => {
                let mut taken = 0;
                while taken < bytes.len() && *chunks != Chunks::Over {
                    taken += chunks.step(&bytes[taken..]);
                }
                taken
            }
        }
    }
}

impl Chunks {
    /// Takes at least one of these bytes.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let byte = bytes[0];
        if let Self::Data(left) = self {
            let taken = take_counted(left, bytes.len());
            if *left == 0 {
                *self = Self::DataEnd;
            }
            return taken;
        }
        let is_line_end = byte == b'\n';
        match self {
            Self::Size { bytes: 0, .. } if is_line_end => *self = Self::Trailer { is_empty: true },
            Self::Size { bytes, .. } if is_line_end => *self = Self::Data(*bytes),
            Self::Size { bytes, is_extension } => match char::from(byte).to_digit(16) {
                Some(digit) if !*is_extension => *bytes = (*bytes << 4) | u64::from(digit),
                _ => *is_extension = true,
            },
            Self::DataEnd if is_line_end => *self = Self::Size { bytes: 0, is_extension: false },
            Self::Trailer { is_empty: true } if is_line_end => *self = Self::Over,
            Self::Trailer { is_empty } => *is_empty = is_line_end || (*is_empty && byte == b'\r'),
            Self::DataEnd | Self::Data(_) | Self::Over => {}
        }
        1
    }
}

fn take_counted(left: &mut u64, available: usize) -> usize {
    let taken = usize::try_from(*left).map_or(available, |left| left.min(available));
    *left -= taken as u64;
    taken
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked() -> Framing {
        Framing::Chunked(Chunks::Size { bytes: 0, is_extension: false })
    }

    #[test]
    fn a_body_of_chunks_ends_where_it_ends_however_it_is_cut() {
        let bodies = ["0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "A;a=5\r\n\r\n\r\n\r\n\r\n\r\n0;\r\nx: y\r\nz:\r\n\r\n"];
        for body in bodies {
            for piece in 1..=body.len() {
                let mut framing = chunked();
                let mut taken = 0;
                for bytes in format!("{body}GET").as_bytes().chunks(piece) {
                    taken += framing.take(bytes);
                }
                assert_eq!(taken, body.len(), "{body:?} in pieces of {piece}");
                assert!(framing.is_over());
            }
        }
    }

    #[test]
    fn a_body_of_chunks_is_not_over_before_its_end() {
        let body = "3\r\nabc\r\n0\r\nx: y\r\n\r\n";
        for length in 0..body.len() {
            let mut framing = chunked();
            assert_eq!(framing.take(&body.as_bytes()[..length]), length);
            assert!(!framing.is_over(), "{length}");
        }
    }

    #[test]
    fn a_body_of_known_length_takes_no_more() {
        let mut framing = Framing::Length(5);
        assert_eq!(framing.take(b"abc"), 3);
        assert!(!framing.is_over());
        assert_eq!(framing.take(b"defg"), 2);
        assert!(framing.is_over());
    }
}
