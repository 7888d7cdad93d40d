//! Requests, put together piece by piece and sent as they are: nothing is normalised, added or checked.

use std::future::{Future, IntoFuture};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{
    connection::Connection,
    larder::{Larder, TOKEN},
    openapi,
    reply::Reply,
};

/// A request to be. Awaiting it sends it on a connection of its own.
#[derive(Clone)]
#[must_use = "a request is sent by awaiting it"]
pub(crate) struct Request {
    larder: Larder,
    method: String,
    target: String,
    token: Option<String>,
    fields: Vec<(String, String)>,
    body: Body,
}

#[derive(Clone)]
enum Body {
    /// Neither length nor coding is announced, as some clients do where there is nothing to send.
    Unannounced,
    Sized(Bytes),
    Chunked(Vec<Bytes>),
}

impl Request {
    pub(crate) fn new(larder: &Larder, method: &str, target: impl Into<String>) -> Self {
        Self {
            larder: larder.clone(),
            method: method.to_owned(),
            target: target.into(),
            token: Some(TOKEN.to_owned()),
            fields: Vec::new(),
            body: Body::Unannounced,
        }
    }

    /// Returns the request without a token.
    pub(crate) fn anonymous(mut self) -> Self {
        self.token = None;
        self
    }

    /// Returns the request with this token.
    pub(crate) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Returns the request with one more header field.
    pub(crate) fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// Returns the request with a media type.
    pub(crate) fn content_type(self, value: &str) -> Self {
        self.field("Content-Type", value)
    }

    /// Returns the request with a body of known length.
    pub(crate) fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Body::Sized(bytes.into());
        self
    }

    /// Returns the request with a JSON body.
    pub(crate) fn json(self, value: &serde_json::Value) -> Self {
        self.content_type("application/json").body(value.to_string())
    }

    /// Returns the request with a body of unknown length, in these chunks.
    pub(crate) fn chunked(mut self, chunks: Vec<Bytes>) -> Self {
        self.body = Body::Chunked(chunks);
        self
    }

    /// Sends it on a connection that stays open.
    pub(crate) async fn send_on(self, connection: &mut Connection) -> Reply {
        let pieces = self.pieces();
        let reply = connection.exchange(&self.to_string(), &self.method, &pieces).await;
        openapi::hold(&self.method, &self.target, &reply);
        reply
    }

    async fn send(self) -> Reply {
        let mut connection = Connection::open(self.larder.address()).await;
        let closing = self.field("Connection", "close");
        let pieces = closing.pieces();
        let reply = connection.exchange(&closing.to_string(), &closing.method, &pieces).await;
        let rest = connection.read_rest().await;
        assert!(rest.is_empty(), "{reply} is followed by {} bytes that it did not announce", rest.len());
        openapi::hold(&closing.method, &closing.target, &reply);
        reply
    }

    /// Returns the request as it goes over the wire: the head, then the body.
    fn pieces(&self) -> Vec<Bytes> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.larder.address());
        let mut field = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        if let Some(token) = &self.token {
            field("Authorization", &format!("Bearer {token}"));
        }
        for (name, value) in &self.fields {
            field(name, value);
        }
        let mut pieces = match &self.body {
            Body::Unannounced => Vec::new(),
            Body::Sized(bytes) => {
                field("Content-Length", &bytes.len().to_string());
                vec![bytes.clone()]
            }
            Body::Chunked(chunks) => {
                field("Transfer-Encoding", "chunked");
                chunks.iter().map(chunk).chain([Bytes::from_static(b"0\r\n\r\n")]).collect()
            }
        };
        head.push_str("\r\n");
        pieces.insert(0, Bytes::from(head));
        pieces
    }
}

fn chunk(bytes: &Bytes) -> Bytes {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    framed.into()
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        match self.token.as_deref() {
            Some(TOKEN) => {}
            Some(_) => write!(f, " (another token)")?,
            None => write!(f, " (no token)")?,
        }
        for (name, value) in &self.fields {
            if name != "Connection" {
                write!(f, " [{name}: {value}]")?;
            }
        }
        Ok(())
    }
}

impl IntoFuture for Request {
    type Output = Reply;
    type IntoFuture = BoxFuture<'static, Reply>;

    fn into_future(self) -> Self::IntoFuture {
        let sending: std::pin::Pin<Box<dyn Future<Output = Reply> + Send>> = Box::pin(self.send());
        sending
    }
}
