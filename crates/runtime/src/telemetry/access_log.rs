//! The access log: one line for each request, on standard error, in text or JSON, with a path that has no secrets.
//!
//! Requests queue finished lines and never wait for standard error; a thread writes the queue. Lines that do not fit
//! are dropped, and their number is logged. This module does not decide which requests are logged, or when a line is
//! finished.

use percent_encoding::percent_decode_str;
use serde::{Serialize, Serializer};
use std::{
    borrow::Cow,
    fmt::{Display, Write as _},
    io::{self, Write},
    mem,
    net::IpAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use super::log::LogFormat;

/// Target of the lines, as the log names it.
const TARGET: &str = "larder::access";

/// Interval between two writes: a busy gateway writes many lines at once.
const WRITE_INTERVAL: Duration = Duration::from_millis(50);

/// Maximum number of queued bytes; further lines are dropped.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// Capacity that an empty buffer keeps.
const KEPT_CAPACITY: usize = 64 * 1024;

/// A line of the access log.
#[derive(Debug, Serialize)]
pub struct AccessLogEntry<'a, T> {
    /// Time at which the response ended.
    pub timestamp: T,
    /// Method of the request.
    pub method: &'a str,
    /// Path of the request, without its query and without secrets.
    pub path: &'a str,
    /// Status of the response; `None` if the client disconnected before there was one.
    pub status: Option<u16>,
    /// Bytes of the response body that were passed to the connection.
    pub bytes: u64,
    /// Time from the request's head to the end of the response.
    #[serde(rename = "time_ms", serialize_with = "millis")]
    pub time: Duration,
    /// Username of the caller; `None` if there was no valid token, or none was checked.
    pub caller: Option<&'a str>,
    /// Address of the client.
    pub address: Option<IpAddr>,
    /// Id of the request; `None` if it got none.
    pub request: Option<&'a str>,
    /// Number of calls to the object store or the data folder.
    pub object_calls: u64,
    /// True if the response was cut off.
    pub cut_off: bool,
}

fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rounded_millis(*time))
}

/// Returns a time in milliseconds, to the microsecond.
fn rounded_millis(time: Duration) -> f64 {
    Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)).as_secs_f64() * 1000.0
}

/// Line in JSON, with the members common to all log lines.
#[derive(Debug, Serialize)]
struct JsonLine<'a, T> {
    level: &'static str,
    message: &'static str,
    #[serde(flatten)]
    line: &'a AccessLogEntry<'a, T>,
    target: &'static str,
}

impl<T: Display + Serialize> AccessLogEntry<'_, T> {
    /// Returns the line in a format, with a trailing line break.
    fn formatted(&self, form: LogFormat) -> String {
        let mut text = String::with_capacity(256);
        match form {
            LogFormat::Text => self.format_as_text(&mut text),
            LogFormat::Json => {
                let line = JsonLine { level: "INFO", message: "request", line: self, target: TARGET };
                // Numbers and texts only: serialization cannot fail.
                text.push_str(&serde_json::to_string(&line).unwrap_or_default());
            }
        }
        text.push('\n');
        text
    }

    fn format_as_text(&self, text: &mut String) {
        let Self { timestamp, method, path, status, bytes, time, caller, address, request, object_calls, cut_off } =
            self;
        let quoted = |value: &str| serde_json::to_string(value).unwrap_or_default();
        let _ = write!(text, "{timestamp}  INFO {TARGET}: request method={method} path={}", quoted(path));
        if let Some(status) = status {
            let _ = write!(text, " status={status}");
        }
        let _ = write!(text, " bytes={bytes} time_ms={:.3}", rounded_millis(*time));
        if let Some(caller) = caller {
            let _ = write!(text, " caller={}", quoted(caller));
        }
        if let Some(address) = address {
            let _ = write!(text, " address={address}");
        }
        if let Some(request) = request {
            let _ = write!(text, " request={}", quoted(request));
        }
        let _ = write!(text, " object_calls={object_calls} cut_off={cut_off}");
    }
}

/// The access log. Closing or dropping it writes the queued lines first.
#[derive(Debug)]
pub struct AccessLog {
    form: LogFormat,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// State shared by the writing thread and the threads that queue lines.
#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    has_changed: Condvar,
}

/// Lines waiting to be written.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    is_closed: bool,
    /// True if the thread waits for a line, rather than for the next write.
    is_idle: bool,
}

impl AccessLog {
    /// Starts writing to standard error.
    ///
    /// # Errors
    /// Fails if the system cannot start a thread.
    pub fn start(form: LogFormat) -> io::Result<Self> {
        Self::start_to(form, io::stderr())
    }

    fn start_to(form: LogFormat, out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writing = Arc::clone(&shared);
        let writer = thread::Builder::new().name("access-log".to_owned()).spawn(move || writing.write_to(out))?;
        Ok(Self { form, shared, writer: Mutex::new(Some(writer)) })
    }

    /// Queues a line.
    pub fn write(&self, line: &AccessLogEntry<'_, impl Display + Serialize>) {
        let line = line.formatted(self.form);
        let mut waiting = self.shared.waiting.lock();
        if waiting.bytes.len() + line.len() > MAX_WAITING_BYTES {
            waiting.dropped += 1;
            return;
        }
        waiting.bytes.extend_from_slice(line.as_bytes());
        if mem::take(&mut waiting.is_idle) {
            self.shared.has_changed.notify_one();
        }
    }

    /// Writes the queued lines, and ends. Later lines are dropped.
    pub fn close(&self) {
        self.shared.waiting.lock().is_closed = true;
        self.shared.has_changed.notify_one();
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Writes lines as they arrive, until the log is closed and the queue is empty.
    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut waiting = self.waiting.lock();
            while waiting.bytes.is_empty() && !waiting.is_closed {
                waiting.is_idle = true;
                self.has_changed.wait(&mut waiting);
            }
            mem::swap(&mut batch, &mut waiting.bytes);
            let (dropped, is_closed) = (mem::take(&mut waiting.dropped), waiting.is_closed);
            drop(waiting);
            // If standard error is gone, no reader is left.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            batch.clear();
            batch.shrink_to(KEPT_CAPACITY);
            if dropped > 0 {
                tracing::warn!(
                    dropped,
                    "lines of the access log were dropped: standard error does not take them in time"
                );
            }
            if is_closed {
                return;
            }
            let is_open = |waiting: &mut Waiting| !waiting.is_closed;
            self.has_changed.wait_while_for(&mut self.waiting.lock(), is_open, WRITE_INTERVAL);
        }
    }
}

/// Replacement of a redacted segment.
const REDACTED: &str = "[redacted]";

/// Maximum length of a logged path in bytes.
const MAX_LENGTH: usize = 1024;

/// Prefixes of tokens: Larder's own, and the platform's, which a client may send by mistake.
const TOKEN_PREFIXES: [&str; 2] = ["larder_", "apify_api_"];

/// Minimum number of characters after such a prefix for a text to count as a token, whole or cut.
const MIN_TOKEN_CHARACTERS: usize = 16;

/// Characters that no id, name or key contains, but a query or the credentials of a URL encoded into the path do.
const CHARACTERS_OF_URLS: [char; 5] = ['@', ':', '=', '?', '&'];

/// Length of a token id. A longer text in its place may be the token itself.
const TOKEN_ID_LENGTH: usize = 17;

/// Returns a path without secrets. It redacts tokens, `secret` (the token of the request itself), anything like an
/// encoded URL or query, and a segment in place of a token id that is none.
pub fn redacted_path(path: &str, secret: Option<&str>) -> String {
    let mut shown = String::with_capacity(path.len().min(MAX_LENGTH));
    let mut is_token_id = false;
    for (number, segment) in path.split('/').enumerate() {
        if number > 0 {
            shown.push('/');
        }
        if shown.len() + segment.len() > MAX_LENGTH {
            shown.push('…');
            break;
        }
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        let is_secret = is_token_id && !is_id(&decoded) || may_hold_secret(&decoded, secret);
        let is_printable = !segment.contains(char::is_control);
        let segment = if is_secret { REDACTED.into() } else { Cow::Borrowed(segment) };
        shown.push_str(if is_printable { &segment } else { REDACTED });
        is_token_id = decoded == "tokens";
    }
    shown
}

fn is_id(segment: &str) -> bool {
    segment.len() == TOKEN_ID_LENGTH && segment.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn may_hold_secret(segment: &str, secret: Option<&str>) -> bool {
    segment.contains(CHARACTERS_OF_URLS)
        || secret.is_some_and(|secret| !secret.is_empty() && segment.contains(secret))
        || TOKEN_PREFIXES.iter().any(|prefix| has_token(segment, prefix))
}

fn has_token(segment: &str, prefix: &str) -> bool {
    segment.split(prefix).skip(1).any(|rest| {
        rest.bytes().take_while(u8::is_ascii_alphanumeric).take(MIN_TOKEN_CHARACTERS).count() == MIN_TOKEN_CHARACTERS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Standard error that blocks until it is released.
    #[derive(Debug, Clone, Default)]
    struct Slow(Arc<(Mutex<Taken>, Condvar)>);

    /// Flag that releases writes, and the bytes written.
    type Taken = (bool, Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (state, changed) = &*self.0;
            let mut state = state.lock();
            changed.wait_while(&mut state, |(is_open, _)| !*is_open);
            state.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Slow {
        fn open(&self) {
            self.0.0.lock().0 = true;
            self.0.1.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().1.clone()).expect("text")
        }
    }

    fn line(path: &str) -> AccessLogEntry<'_, &'static str> {
        AccessLogEntry {
            timestamp: "2026-11-30T06:00:00.000Z",
            method: "GET",
            path,
            status: Some(200),
            bytes: 5,
            time: Duration::from_nanos(1_234_567),
            caller: Some("baker"),
            address: Some([192, 0, 2, 7].into()),
            request: Some("a-1"),
            object_calls: 2,
            cut_off: false,
        }
    }

    #[test]
    fn a_line_has_the_same_fields_in_both_forms() {
        let text = line("/v2/a\"b").formatted(LogFormat::Text);
        let expected = "2026-11-30T06:00:00.000Z  INFO larder::access: request method=GET path=\"/v2/a\\\"b\" status=200 bytes=5 \
                        time_ms=1.234 caller=\"baker\" address=192.0.2.7 request=\"a-1\" object_calls=2 cut_off=false\n";
        assert_eq!(text, expected);
        let gone = AccessLogEntry { status: None, caller: None, request: None, cut_off: true, ..line("/") };
        let json: serde_json::Value = serde_json::from_str(&gone.formatted(LogFormat::Json)).expect("JSON");
        assert_eq!((&json["status"], &json["caller"]), (&serde_json::Value::Null, &serde_json::Value::Null));
        assert_eq!((&json["time_ms"], &json["cut_off"]), (&1.234.into(), &true.into()));
        assert_eq!((&json["target"], &json["level"]), (&TARGET.into(), &"INFO".into()));
    }

    #[test]
    fn lines_are_written_in_order_and_writers_do_not_wait() {
        let out = Slow::default();
        let journal = AccessLog::start_to(LogFormat::Text, out.clone()).expect("it starts");
        // More than fits while writes are blocked: this neither waits nor grows.
        let long = "x".repeat(1000);
        for number in 0..2000 {
            journal.write(&line(&format!("/{number}/{long}")));
        }
        assert!(
            journal.shared.waiting.lock().bytes.len() <= MAX_WAITING_BYTES && journal.shared.waiting.lock().dropped > 0
        );
        out.open();
        journal.close();
        let text = out.text();
        let numbers: Vec<usize> =
            text.lines().map(|line| line.split('/').nth(1).expect("a path").parse().expect("a number")).collect();
        assert!(numbers.len() > 500 && numbers.iter().copied().eq(0..numbers.len()), "{numbers:?}");
        journal.write(&line("/late"));
        assert_eq!(out.text(), text);
    }

    #[test]
    fn paths_are_shown_as_they_are_but_for_what_may_be_secret() {
        let token = "larder_0123456789ABCDEFGHIJKLMNOPQRST0CtHMn";
        for (path, expected) in [
            ("/", "/"),
            (
                "/v2/key-value-stores/jane~shop/records/a!-_.'()Z9%21",
                "/v2/key-value-stores/jane~shop/records/a!-_.'()Z9%21",
            ),
            ("/v2/key-value-stores/S/records/larder_notes", "/v2/key-value-stores/S/records/larder_notes"),
            ("/larder/v1/tokens/WkzbQMuFYuamGv3YF/replace", "/larder/v1/tokens/WkzbQMuFYuamGv3YF/replace"),
            ("/larder/v1/tokens/of-any-form", "/larder/v1/tokens/[redacted]"),
            ("/v2/users/my-own-token", "/v2/users/[redacted]"),
            ("/v2/users/my%2Down-token", "/v2/users/[redacted]"),
            ("/https%3A%2F%2Fjane%3Asalt@host%2Fx/y", "/[redacted]/y"),
            ("/v2/users/me%3Ftoken%3Dsalt", "/v2/users/[redacted]"),
            ("/v2/users/me&signature=salt", "/v2/users/[redacted]"),
            ("/a\u{9b}b", "/[redacted]"),
        ] {
            assert_eq!(redacted_path(path, Some("my-own-token")), expected, "{path}");
        }
        for given in [token, &token[..30], "apify_api_0123456789abcdefghijklmnopqrstuvwxyz"] {
            for path in [format!("/v2/users/{given}"), format!("/a/x{given}y/b"), given.replace('_', "%5F")] {
                let shown = redacted_path(&path, None);
                assert!(shown.contains(REDACTED) && !shown.contains("0123456789"), "{path}: {shown}");
            }
        }
        let long = redacted_path(&format!("/a/{}", "b".repeat(2000)), None);
        assert_eq!(long, "/a/…");
    }
}
