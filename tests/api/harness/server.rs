//! A gateway's socket: the API behind the server room's own listener, on a port that was free.
#![expect(clippy::disallowed_methods, reason = "a test's runtime ends with the test, and its tasks with it")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use http::{Request, Response};
use larder::{
    api::{Api, ResponseBody},
    clock::SystemClock,
    server::{ClientAddr, Handler, RequestBody, Server, ServerOptions, Workers},
};

/// Serves `api` until the runtime ends. Timeouts of its connections use real time: a test that moves the gateway's
/// clock does not mean that a client has been silent for so long.
pub(crate) fn serve(api: Api) -> SocketAddr {
    let options = ServerOptions { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..ServerOptions::default() };
    let server = Server::bind(options, Arc::new(SystemClock)).expect("there is a free port");
    let address = server.local_addr();
    tokio::spawn(async move { server.run(Front(api), &Workers::default(), std::future::pending()).await });
    address
}

struct Front(Api);

impl Handler for Front {
    type Body = ResponseBody;

    async fn handle(&self, request: Request<RequestBody>, source: ClientAddr) -> Response<ResponseBody> {
        self.0.respond(request, source).await
    }

    fn panicked(&self) -> Response<ResponseBody> {
        panic!("a request's handling panicked; its story is above");
    }

    fn without_host(&self, _: Request<RequestBody>, _: &ClientAddr) -> Response<ResponseBody> {
        panic!("the tests name a host");
    }
}
