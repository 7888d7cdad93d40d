//! A bare hyper server around a function.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::figures::Outcome;

/// Serves on a free port, which it prints, until it is killed. As many threads as Larder's own.
pub fn serve<A, F>(answer: A) -> Outcome<()>
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
