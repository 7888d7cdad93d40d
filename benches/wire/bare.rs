//! The yardstick: a hyper server that stores nothing and answers at once with the same bytes as Larder.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{
    figures::Outcome,
    plan::{LARGEST_BODY, pattern},
};

/// The argument with which this program starts itself as the bare server.
pub const ARGUMENT: &str = "--serve-bare";

/// Serves on a free port, which it prints, until it is killed. As many threads as Larder's own.
pub fn serve() -> Outcome<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(accept())
}

async fn accept() -> Outcome<()> {
    let bytes = Bytes::from(pattern(LARGEST_BODY));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let bytes = bytes.clone();
        let service = service_fn(move |request| answer(request, bytes.clone()));
        tokio::spawn(async move {
            // A client that goes away is no news here.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, bytes: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, content_type, body) = if request.method() == Method::GET {
        match asked_bytes(request.uri().path()) {
            Some(count) if count <= bytes.len() => {
                (StatusCode::OK, "application/octet-stream", Full::new(bytes.slice(..count)))
            }
            Some(_) | None => (StatusCode::NOT_FOUND, "text/plain", Full::default()),
        }
    } else {
        let mut body = request.into_body();
        let mut is_whole = true;
        while let Some(frame) = body.frame().await {
            is_whole &= frame.is_ok();
        }
        let status = if is_whole { StatusCode::CREATED } else { StatusCode::BAD_REQUEST };
        (status, "application/json", Full::new(Bytes::from_static(b"{}")))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// The second of the three parts of a key.
fn asked_bytes(path: &str) -> Option<usize> {
    let (_, key) = path.rsplit_once('/')?;
    key.split('-').nth(1)?.parse().ok()
}
