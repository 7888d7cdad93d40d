//! Traces of the program, as a collector gets them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use crate::{
    client::{Answer, Client, Upload},
    program::{Program, TOKEN, command, until},
};

/// Trace of a caller that sends one, and the caller's span.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The key of an account at the collector.
const KEY: &str = "key-of-an-account-there";

/// A collector: it takes documents, and keeps them.
struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Document>>>,
}

#[derive(Debug, Clone)]
struct Document {
    head: String,
    body: String,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
        let address = listener.local_addr().expect("it is bound");
        let taken: Arc<Mutex<Vec<Document>>> = Arc::default();
        let kept = Arc::clone(&taken);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                thread::spawn(move || take(stream, &kept));
            }
        });
        Self { address, taken }
    }

    fn documents(&self) -> Vec<Document> {
        self.taken.lock().expect("no thread panics").clone()
    }

    /// Returns all spans that have come.
    fn spans(&self) -> Vec<Value> {
        let mut spans = Vec::new();
        for document in self.documents() {
            let document: Value = serde_json::from_str(&document.body).expect("JSON");
            let found = document["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned();
            spans.extend(found.expect("there are spans"));
        }
        spans
    }
}

/// Takes documents over one connection.
fn take(mut stream: TcpStream, kept: &Mutex<Vec<Document>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body = String::from_utf8(body).ok()?;
        kept.lock().ok()?.push(Document { head, body });
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

/// Returns an attribute of a span.
fn attribute<'a>(span: &'a Value, name: &str) -> Option<&'a str> {
    let attributes = span["attributes"].as_array()?;
    let value = &attributes.iter().find(|attribute| attribute["key"] == name)?["value"];
    value["stringValue"].as_str().or(value["intValue"].as_str())
}

fn id_of(answer: &Answer<'_>) -> String {
    answer.header("x-request-id").expect("answers have it").to_owned()
}

#[test]
fn a_collector_gets_what_its_answer_is_called_by_with_its_object_calls_and_below_the_callers_span() {
    let (folder, collector) = (tempfile::tempdir().expect("a folder"), Collector::start());
    let mut command = command(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--trace-ratio", "0"]);
    command.env("LARDER_TOKEN", TOKEN).env("LARDER_OTLP_HEADERS", format!("x-api-key={KEY}"));
    command.env("LARDER_OTLP_ENDPOINT", format!("http://{}/otlp", collector.address));
    let program = Program::start(command);
    let records = program.records_of("traced");
    let store = records.split('/').nth(3).expect("an id").to_owned();
    let ask = |method: &str, path: &str, flags: &str, body: &str| {
        let mut client = program.client();
        let headers = format!("traceparent: 00-{TRACE}-{CALLER}-{flags}\r\ncontent-length: {}\r\n", body.len());
        client.begin(method, path, &headers).expect("it takes requests");
        client.write(body.as_bytes()).expect("it takes bodies");
        let answer = client.answer(false).expect("it answers");
        (answer.status, id_of(&answer))
    };
    let (status, put) = ask("PUT", &format!("{records}/a?signature=hidden"), "01", "flour");
    assert_eq!(status, 201);
    let (_, untraced) = ask("GET", &format!("{records}/a"), "00", "");
    until("the span comes", || {
        collector.spans().iter().any(|span| attribute(span, "larder.request_id") == Some(put.as_str()))
    });
    let spans = collector.spans();
    let request = spans.iter().find(|span| span["name"] == "put_record").expect("it is there");
    assert_eq!(request["traceId"], TRACE);
    assert_eq!(request["parentSpanId"], CALLER);
    for (name, expected) in [
        ("http.request.method", "PUT"),
        ("http.response.status_code", "201"),
        ("http.request.body.size", "5"),
        ("larder.store", store.as_str()),
    ] {
        assert_eq!(attribute(request, name), Some(expected), "{name}: {request}");
    }
    let call = spans.iter().find(|span| span["name"] == "object put").expect("the record was written");
    assert_eq!(call["traceId"], TRACE);
    assert_eq!(call["parentSpanId"], request["spanId"]);
    assert_eq!(attribute(call, "larder.outcome"), Some("succeeded"));
    let time = |span: &Value, member: &str| span[member].as_str().expect("a text").parse::<u128>().expect("a number");
    assert!(time(request, "startTimeUnixNano") <= time(call, "startTimeUnixNano"));
    assert!(time(call, "endTimeUnixNano") <= time(request, "endTimeUnixNano"));
    // The last span is sent at the end.
    let (_, last) = ask("GET", &format!("{records}/absent"), "01", "");
    let logged = program.stop().stderr;
    let spans = collector.spans();
    let of = |id: &str| spans.iter().find(|span| attribute(span, "larder.request_id") == Some(id)).cloned();
    assert_eq!(attribute(&of(&last).expect("it was sent"), "http.response.status_code"), Some("404"));
    assert!(of(&untraced).is_none(), "its caller keeps no trace of it");
    let documents = collector.documents();
    assert!(documents.iter().all(|document| document.head.starts_with("POST /otlp/v1/traces HTTP/1.1\r\n")));
    assert!(documents.iter().all(|document| document.head.contains(KEY)), "{documents:?}");
    for secret in [TOKEN, KEY, "hidden"] {
        assert!(documents.iter().all(|document| !document.body.contains(secret)), "{secret} is in a span");
        assert!(!logged.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn an_absent_collector_delays_no_request_and_gets_the_buffered_spans() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut command = command(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--trace-ratio", "1"]);
    command.env("LARDER_TOKEN", TOKEN).env("LARDER_OTLP_ENDPOINT", format!("http://{free}"));
    let program = Program::start(command);
    let dropped_or_sent = |outcome: &str| {
        let mut client = program.client();
        let text = client.send("GET", "/metrics", "", Upload::None).expect("it answers").text().expect("a body");
        let line = format!("larder_trace_spans_total{{outcome=\"{outcome}\"}} ");
        text.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok()).expect("it is shown")
    };
    let mut client = Client::connect(program.address, TOKEN).expect("it listens");
    for _ in 0..10_000 {
        let answer = client.send("GET", "/v2/users/me", "", Upload::None).expect("it answers");
        assert_eq!(answer.status, 200);
        answer.text().expect("a body");
    }
    assert!(dropped_or_sent("dropped") > 0, "only so many wait");
    assert_eq!(dropped_or_sent("sent"), 0);
    let logged = program.stop().stderr;
    assert_eq!(logged.matches("traces cannot be sent to the collector").count(), 1, "{logged}");
}
