//! The yardstick: a hyper server that stores nothing and answers at once with the same bytes as Larder.

use std::{convert::Infallible, env, path::Path, process::Command};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};

use crate::{
    figures::Outcome,
    load::{
        case::{LARGEST_BODY, bytes_of, pattern},
        listen,
    },
    program::Program,
};

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
    listen::serve(move |request| answer(request, bytes.clone()))
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
        let status =
            if listen::drain(request.into_body()).await { StatusCode::CREATED } else { StatusCode::BAD_REQUEST };
        (status, "application/json", Full::new(Bytes::from_static(b"{}")))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}
