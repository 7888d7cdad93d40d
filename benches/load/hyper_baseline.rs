//! The baseline: a hyper server that stores nothing and responds at once with the same bytes as Larder. Its server loop
//! also serves the proxy and the stub of the gateway benchmark.

use std::convert::Infallible;
use std::env;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::load::case::{LARGEST_BODY, bytes_of, pattern};
use crate::program::Program;
use crate::report::Outcome;

/// The argument with which this program starts itself as the bare server.
pub const ARGUMENT: &str = "--serve-bare";

/// Returns the command that runs it, in a process of its own.
pub fn command() -> Outcome<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(ARGUMENT);
    Ok(command)
}

/// Starts it.
pub fn start(folder: &Path) -> Outcome<Program> {
    Program::start(command()?, &folder.join("bare.log"))
}

/// Serves until it is killed.
pub fn serve() -> Outcome<()> {
    let bytes = Bytes::from(pattern(LARGEST_BODY));
    serve_with(move |request| answer(request, bytes.clone()))
}

async fn answer(request: Request<Incoming>, bytes: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, content_type, body) = if request.method() == Method::GET {
        match bytes_of(request.uri().path()) {
            Some(count) if count <= bytes.len() => {
                (StatusCode::OK, "application/octet-stream", Full::new(bytes.slice(..count)))
            }
            Some(_) | None => (StatusCode::NOT_FOUND, "text/plain", Full::default()),
        }
    } else {
        let status = if drain(request.into_body()).await { StatusCode::CREATED } else { StatusCode::BAD_REQUEST };
        (status, "application/json", Full::new(Bytes::from_static(b"{}")))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// Serves on a free port, which it prints, until it is killed. As many threads as Larder's own.
pub fn serve_with<A, F>(answer: A) -> Outcome<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = service_fn(answer.clone());
            tokio::spawn(async move {
                // A client that goes away is no news here.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

/// Reads a body to its end and discards it. Returns `true` if all of it came.
pub async fn drain(mut body: Incoming) -> bool {
    let mut is_whole = true;
    while let Some(frame) = body.frame().await {
        is_whole &= frame.is_ok();
    }
    is_whole
}
