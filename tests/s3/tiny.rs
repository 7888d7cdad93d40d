//! Counterparts for the tests of the proxy: a server that keeps what it is given, and a client for it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http1::SendRequest,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

/// Timeout for any step of a test.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Path under which a PUT is answered before its body was read.
pub(crate) const EARLY: &str = "/early";

/// Path under which an object is sent in chunks of one byte.
pub(crate) const CHUNKED: &str = "/chunked";

/// The server.
pub(crate) struct Tiny {
    address: SocketAddr,
    objects: Arc<Objects>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Objects(Mutex<BTreeMap<String, Bytes>>);

type Body = BoxBody<Bytes, Infallible>;

impl Tiny {
    /// Starts it, empty.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system has a port");
        let address = listener.local_addr().expect("it is bound");
        let objects = Arc::new(Objects::default());
        let kept = Arc::clone(&objects);
        let task = tokio::spawn(async move {
            // Connections end with the server.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let answer = service_fn(move |request| {
                    let kept = Arc::clone(&kept);
                    async move { kept.answer(request).await }
                });
                connections
                    .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { address, objects, task }
    }

    /// Returns the address it listens on.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns an object.
    pub(crate) fn object(&self, path: &str) -> Option<Bytes> {
        self.objects.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Waits until an object is there.
    pub(crate) async fn wait_for(&self, path: &str) -> Bytes {
        let found = async {
            loop {
                match self.object(path) {
                    Some(object) => return object,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        timeout(WAIT_TIMEOUT, found).await.expect("it comes in time")
    }

    /// Ends it and all its connections.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.is_err_and(|error| error.is_cancelled()));
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Objects {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
        let path = request.uri().path().to_owned();
        let status = |status: StatusCode| {
            let mut response = Response::new(Empty::new().boxed());
            *response.status_mut() = status;
            response
        };
        if request.method() == Method::PUT {
            if path == EARLY {
                return Ok(status(StatusCode::BAD_REQUEST));
            }
            let body = request.into_body().collect().await?.to_bytes();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path, body);
            return Ok(status(StatusCode::OK));
        }
        if request.method() == Method::DELETE {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
            return Ok(status(StatusCode::NO_CONTENT));
        }
        let object = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
        Ok(match object {
            None => status(StatusCode::NOT_FOUND),
            Some(object) if path == CHUNKED => {
                let bytes: Vec<_> = (0..object.len()).map(|at| Ok(Frame::data(object.slice(at..=at)))).collect();
                Response::new(StreamBody::new(stream::iter(bytes)).boxed())
            }
            Some(object) => Response::new(Full::new(object).boxed()),
        })
    }
}

/// A connection to a server.
pub(crate) struct Client {
    sender: SendRequest<Body>,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("letters"))
    }

    /// Returns the body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("text")
    }
}

/// Returns a connection without a client's manners, to an address such as `http://127.0.0.1:80`.
pub(crate) async fn connect(endpoint: &str) -> io::Result<TcpStream> {
    TcpStream::connect(endpoint.strip_prefix("http://").expect("no TLS")).await
}

impl Client {
    /// Connects.
    pub(crate) async fn open(endpoint: &str) -> Self {
        let stream = connect(endpoint).await.expect("it listens");
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("nothing is sent yet");
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends a request, and waits for its answer.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer, hyper::Error> {
        self.send(method, path, &[], Full::new(Bytes::copy_from_slice(body)).boxed()).await
    }

    /// The same with headers, where nothing prevents a response.
    pub(crate) async fn ask_with(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let body = Full::new(Bytes::copy_from_slice(body)).boxed();
        self.send(method, path, headers, body).await.expect("an answer")
    }

    /// The same with a body in chunks.
    pub(crate) async fn ask_in_chunks(&mut self, method: &str, path: &str, chunks: &[&'static str]) -> Answer {
        let frames: Vec<_> = chunks.iter().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))).collect();
        self.send(method, path, &[], StreamBody::new(stream::iter(frames)).boxed()).await.expect("an answer")
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Answer, hyper::Error> {
        let mut request = Request::builder().method(method).uri(path).header("host", "tiny");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request");
        let answer = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.collect().await?.to_bytes() })
        };
        timeout(WAIT_TIMEOUT, answer).await.expect("the answer or an error comes in time")
    }
}
