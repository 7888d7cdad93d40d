//! Framing of a response body.

use bytes::{Bytes, BytesMut};

use super::error::WireError;

/// Maximum length of a line between two chunks, including extensions and trailers.
const LINE_LIMIT: usize = 4096;

/// The rest of a body.
#[derive(Debug)]
pub struct Framing(Left);

#[derive(Debug)]
enum Left {
    /// This many bytes.
    Bytes(u64),
    /// Chunks.
    Chunks(Chunk),
    /// All bytes until the server closes.
    UntilClose,
}

#[derive(Debug, Clone, Copy)]
enum Chunk {
    /// The line with a chunk's size is next.
    Size,
    /// The remaining bytes of a chunk.
    Data(u64),
    /// The line break after a chunk is next.
    End,
    /// Trailers are next, up to an empty line.
    Trailers,
    /// The body has ended.
    Done,
}

impl Framing {
    /// Returns the framing of a body of `length` bytes.
    pub fn of_length(length: u64) -> Self {
        Self(Left::Bytes(length))
    }

    /// Returns the framing of a chunked body.
    pub fn chunked() -> Self {
        Self(Left::Chunks(Chunk::Size))
    }

    /// Returns the framing of a body that ends when the server closes.
    pub fn until_close() -> Self {
        Self(Left::UntilClose)
    }

    /// Returns the whole length, if the head had it and nothing was taken yet.
    pub fn length(&self) -> Option<u64> {
        match self.0 {
            Left::Bytes(length) => Some(length),
            Left::Chunks(_) | Left::UntilClose => None,
        }
    }

    /// Returns whether the body has ended, and the connection is at the start of the next response.
    pub fn is_over(&self) -> bool {
        matches!(self.0, Left::Bytes(0) | Left::Chunks(Chunk::Done))
    }

    /// Returns whether the server may close now without truncating the body.
    pub fn may_close(&self) -> bool {
        matches!(self.0, Left::UntilClose)
    }

    /// Returns how many bytes are worth reading at once.
    pub fn wanted(&self) -> u64 {
        match self.0 {
            Left::Bytes(length) | Left::Chunks(Chunk::Data(length)) => length,
            Left::Chunks(_) => 0,
            Left::UntilClose => u64::MAX,
        }
    }

    /// Takes the available bytes of the body off the front of `input`; `None` if more must be read.
    pub fn take(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, WireError> {
        match &mut self.0 {
            Left::Bytes(left) => Ok(take_up_to(left, input)),
            Left::UntilClose => Ok((!input.is_empty()).then(|| input.split().freeze())),
            Left::Chunks(chunk) => loop {
                match chunk {
                    Chunk::Data(left) => {
                        let taken = take_up_to(left, input);
                        if *left == 0 {
                            *chunk = Chunk::End;
                        }
                        return Ok(taken);
                    }
                    Chunk::Done => return Ok(None),
                    Chunk::Size | Chunk::End | Chunk::Trailers => {
                        let Some(line) = take_line(input)? else { return Ok(None) };
                        *chunk = behind(*chunk, &line)?;
                    }
                }
            },
        }
    }
}

fn take_up_to(left: &mut u64, input: &mut BytesMut) -> Option<Bytes> {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    if length == 0 {
        return None;
    }
    *left -= length as u64;
    Some(input.split_to(length).freeze())
}

fn take_line(input: &mut BytesMut) -> Result<Option<BytesMut>, WireError> {
    match input.iter().take(LINE_LIMIT).position(|byte| *byte == b'\n') {
        Some(end) => {
            let mut line = input.split_to(end + 1);
            line.truncate(end);
            if line.last() == Some(&b'\r') {
                line.truncate(end - 1);
            }
            Ok(Some(line))
        }
        None if input.len() >= LINE_LIMIT => Err(WireError::Malformed("a line between chunks is too long")),
        None => Ok(None),
    }
}

/// Returns the state after a line that is no data.
fn behind(chunk: Chunk, line: &[u8]) -> Result<Chunk, WireError> {
    match chunk {
        Chunk::Size => {
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let text =
                std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let size = text.and_then(|text| u64::from_str_radix(text, 16).ok());
            match size.ok_or(WireError::Malformed("a chunk's size is no number"))? {
                0 => Ok(Chunk::Trailers),
                size => Ok(Chunk::Data(size)),
            }
        }
        Chunk::End if line.is_empty() => Ok(Chunk::Size),
        Chunk::End => Err(WireError::Malformed("a chunk is longer than its size")),
        Chunk::Trailers if line.is_empty() => Ok(Chunk::Done),
        Chunk::Trailers | Chunk::Data(_) | Chunk::Done => Ok(chunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns all bytes taken when the text arrives in pieces of `piece` bytes, and whether the body has ended.
    fn take_all(mut framing: Framing, text: &[u8], piece: usize) -> Result<(Vec<u8>, bool, usize), WireError> {
        let (mut taken, mut input) = (Vec::new(), BytesMut::new());
        for part in text.chunks(piece) {
            input.extend_from_slice(part);
            while let Some(bytes) = framing.take(&mut input)? {
                taken.extend_from_slice(&bytes);
            }
        }
        Ok((taken, framing.is_over(), input.len()))
    }

    #[test]
    fn chunks_are_put_together_however_they_arrive() {
        let text = b"5;name=value\r\nhello\r\n1\r\n \r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext";
        for piece in 1..text.len() {
            let (taken, is_over, left) = take_all(Framing::chunked(), text, piece).expect("it is well-formed");
            assert_eq!((&taken[..], is_over, left), (&b"hello 0123456789"[..], true, 4), "pieces of {piece}");
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for text in ["x\r\n", "\r\n", "-1\r\n", "+1\r\n", "1\r\nab\r\n", "FFFFFFFFFFFFFFFFF\r\n"] {
            assert!(take_all(Framing::chunked(), text.as_bytes(), 64).is_err(), "{text:?}");
        }
        assert!(take_all(Framing::chunked(), &[b'1'; LINE_LIMIT], 64).is_err());
    }

    #[test]
    fn a_body_ends_at_its_length() {
        let (taken, is_over, left) = take_all(Framing::of_length(3), b"abcd", 2).expect("it is well-formed");
        assert_eq!((&taken[..], is_over, left), (&b"abc"[..], true, 1));
    }
}
