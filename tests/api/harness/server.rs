//! A gateway's socket: hyper's server over the API, without the limits that belong to a real listener.
#![expect(clippy::disallowed_methods, reason = "a test's runtime ends with the test, and its tasks with it")]

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use larder::api::Api;
use tokio::net::TcpListener;

/// Serves `api` on a port that was free, until the runtime ends.
pub(crate) async fn serve(api: Arc<Api>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let api = api.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let api = api.clone();
                async move { Ok::<_, Infallible>(api.respond(request).await) }
            });
            // A connection that the client breaks off ends in an error, which is what some tests do on purpose.
            tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await });
        }
    });
    address
}
