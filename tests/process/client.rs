//! A small blocking HTTP client: one that can be slow, leave in the middle, and read without end.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Timeout for a response.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// Bytes written at once.
const CHUNK_BYTES: usize = 1 << 18;

/// A connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

/// An answer; its body is still to be read.
pub struct Answer<'a> {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Box<dyn Read + 'a>,
}

impl Answer<'_> {
    /// Returns a header's value, in any letter case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Reads the body; for small ones.
    pub fn text(mut self) -> io::Result<String> {
        let mut text = String::new();
        self.body.read_to_string(&mut text).map(|_| text)
    }
}

/// A body that is sent.
pub enum Upload<'a> {
    None,
    /// With its length announced.
    Known(u64, &'a mut dyn Read),
    /// In chunks, its length unknown.
    Chunked(&'a mut dyn Read),
}

impl Client {
    pub fn connect(address: SocketAddr, token: &str) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, WAIT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WAIT_TIMEOUT))?;
        stream.set_write_timeout(Some(WAIT_TIMEOUT))?;
        Ok(Self { stream: BufReader::with_capacity(CHUNK_BYTES, stream), token: token.to_owned() })
    }

    /// Sends a request and reads the head of its answer.
    pub fn send(&mut self, method: &str, path: &str, content_type: &str, body: Upload<'_>) -> io::Result<Answer<'_>> {
        let framing = match &body {
            Upload::None => String::new(),
            Upload::Known(length, _) => format!("content-length: {length}\r\n"),
            Upload::Chunked(_) => "transfer-encoding: chunked\r\n".to_owned(),
        };
        self.begin(method, path, &format!("content-type: {content_type}\r\n{framing}"))?;
        let stream = self.stream.get_mut();
        match body {
            Upload::None => {}
            Upload::Known(_, body) => copy(body, |chunk| stream.write_all(chunk))?,
            Upload::Chunked(body) => {
                copy(body, |chunk| {
                    write!(stream, "{:x}\r\n", chunk.len())?;
                    stream.write_all(chunk)?;
                    stream.write_all(b"\r\n")
                })?;
                stream.write_all(b"0\r\n\r\n")?;
            }
        }
        self.answer(method == "HEAD")
    }

    /// Sends the head of a request, with its token; `headers` are whole lines.
    pub fn begin(&mut self, method: &str, path: &str, headers: &str) -> io::Result<()> {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: larder\r\nauthorization: Bearer {}\r\n", self.token);
        self.write(format!("{head}{headers}\r\n").as_bytes())
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Returns `true` if the other side has closed; waits for that or for bytes.
    pub fn is_closed(&mut self) -> io::Result<bool> {
        Ok(self.stream.fill_buf()?.is_empty())
    }

    /// Reads the head of an answer.
    pub fn answer(&mut self, is_head: bool) -> io::Result<Answer<'_>> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| invalid(format!("no status in {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid(format!("no header: {line:?}")))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let header = |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let body: Box<dyn Read> = if is_head || status == 204 || status == 304 {
            Box::new(io::empty())
        } else if let Some((_, length)) = header("content-length") {
            let left = length.parse().map_err(|_| invalid(format!("no length: {length:?}")))?;
            Box::new(Exactly { stream: &mut self.stream, left })
        } else if header("transfer-encoding").is_some() {
            Box::new(Chunks { stream: &mut self.stream, left: 0, is_over: false })
        } else {
            Box::new(&mut self.stream)
        };
        Ok(Answer { status, headers, body })
    }

    fn line(&mut self) -> io::Result<String> {
        read_line(&mut self.stream)
    }
}

/// A body of known length; its end before that is an error.
struct Exactly<'a> {
    stream: &'a mut BufReader<TcpStream>,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            // Not even nothing may be asked of the buffer, which would wait for something to fill itself with.
            return Ok(0);
        }
        let read = self.stream.read(&mut buffer[..wanted])?;
        self.left -= read as u64;
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
    }
}

/// A body in chunks; its end before the last of them is an error.
struct Chunks<'a> {
    stream: &'a mut BufReader<TcpStream>,
    left: u64,
    is_over: bool,
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.is_over {
            let size = read_line(self.stream)?;
            self.left = u64::from_str_radix(&size, 16).map_err(|_| invalid(format!("no size: {size:?}")))?;
            if self.left == 0 {
                self.is_over = true;
                read_line(self.stream)?;
            }
        }
        let read = Exactly { stream: &mut *self.stream, left: self.left }.read(buffer)?;
        self.left -= read as u64;
        if self.left == 0 && !self.is_over {
            read_line(self.stream)?;
        }
        Ok(read)
    }
}

fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn copy(body: &mut dyn Read, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match body.read(&mut chunk)? {
            0 => return Ok(()),
            read => write(&chunk[..read])?,
        }
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
