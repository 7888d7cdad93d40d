//! A proxy before the object store that decodes objects stored in a content coding: records come back as they were
//! stored, or cannot be stored.

use std::{convert::Infallible, sync::Arc};

use async_compression::tokio::{bufread::GzipDecoder, write::GzipEncoder};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use larder::{
    clock::SystemRandom,
    storage::{
        Attributes, BoxError, ByteRange, ByteStream, Error, GetOptions, ObjectStore, Precondition, PutOptions,
        RejectedFor,
        diagnostics::Status,
        s3::{Capabilities, S3Store},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::tiny::connect;
use larder_test_kit::s3_backend::open_with;

/// Requests for which the proxy decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decodes {
    /// For clients that do not say that they take gzip, as nginx does with `gunzip on`.
    Unless,
    /// For all.
    Always,
}

type Body = BoxBody<Bytes, Infallible>;

/// Starts a proxy before the object store at `endpoint`; its own endpoint. It ends with the runtime of the test.
async fn start(endpoint: String, decodes: Decodes) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let endpoint = endpoint.clone();
            let answer = service_fn(move |request| {
                let endpoint = endpoint.clone();
                async move { pass(&endpoint, request, decodes).await }
            });
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), answer));
        }
    });
    format!("http://{address}")
}

async fn pass(endpoint: &str, request: Request<Incoming>, decodes: Decodes) -> Result<Response<Body>, BoxError> {
    let stream: TcpStream = connect(endpoint).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let is_head = request.method() == Method::HEAD;
    let is_taken =
        request.headers().get("accept-encoding").is_some_and(|value| value.to_str().unwrap().contains("gzip"));
    let (mut head, body) = request.into_parts();
    head.headers.remove("expect");
    let body = Full::new(body.collect().await?.to_bytes());
    let (mut head, body) = sender.send_request(Request::from_parts(head, body)).await?.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let is_coded = has_gzip(&head.headers);
    if !is_coded || (is_taken && decodes == Decodes::Unless) {
        return Ok(Response::from_parts(head, Full::new(bytes).boxed()));
    }
    for name in ["content-encoding", "content-length"] {
        head.headers.remove(name);
    }
    let weak = format!("W/{}", head.headers["etag"].to_str().unwrap());
    head.headers.insert("etag", weak.parse().unwrap());
    let mut text = Vec::new();
    if !is_head {
        // As nginx does, the proxy ends the connection where it has a part that cannot be decoded.
        GzipDecoder::new(&bytes[..]).read_to_end(&mut text).await?;
    }
    let chunks = stream::iter([Ok(Frame::data(Bytes::from(text)))]);
    Ok(Response::from_parts(head, StreamBody::new(chunks).boxed()))
}

fn has_gzip(headers: &HeaderMap) -> bool {
    headers.get("content-encoding").is_some_and(|coding| coding == "gzip")
}

async fn behind(decodes: Decodes) -> (Arc<S3Store>, &'static Capabilities) {
    let (direct, _) = open_with(|_| {}).await;
    let endpoint = start(direct.bucket_endpoint().unwrap(), decodes).await.parse().unwrap();
    open_with(|options| options.endpoint = Some(endpoint)).await
}

fn gzipped() -> Attributes {
    Attributes { content_type: "text/plain".to_owned(), content_encoding: Some("gzip".to_owned()) }
}

async fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(text).await.unwrap();
    encoder.shutdown().await.unwrap();
    Bytes::from(encoder.into_inner())
}

async fn read(store: &S3Store, key: &str, range: Option<ByteRange>) -> Bytes {
    let object = store.get(key, GetOptions { range }).await.unwrap();
    assert_eq!(object.meta.attributes, gzipped());
    object.body.into_bytes(1 << 20).await.unwrap()
}

#[tokio::test]
async fn what_a_proxy_decodes_unless_it_is_asked_for_comes_back_as_it_was_stored() {
    let (store, _) = behind(Decodes::Unless).await;
    let bytes = gzip(&b"once upon a time there was a proxy. ".repeat(100)).await;
    let options = PutOptions { attributes: gzipped(), precondition: Precondition::None };
    let written = store.put("k", ByteStream::from(bytes.clone()), options.clone()).await.unwrap();
    store.copy("k", "copied", Precondition::None).await.unwrap();
    store.copy("k", "k", Precondition::None).await.unwrap();
    for key in ["k", "copied"] {
        assert_eq!(read(&store, key, None).await, bytes);
        let range = ByteRange::Bounded { first: 1, last: 9 };
        assert_eq!(read(&store, key, Some(range)).await, bytes.slice(1..10));
        let meta = store.head(key).await.unwrap();
        assert_eq!((meta.size, meta.attributes, &meta.etag), (bytes.len() as u64, gzipped(), &written.etag));
    }
    // As a multipart upload, whose headers are sent by another client.
    let large = Bytes::from(vec![7; 9 << 20]);
    let pieces = ByteStream::new(None, stream::iter([Ok(large.clone())]));
    store.put("large", pieces, options).await.unwrap();
    let meta = store.head("large").await;
    assert!(meta.is_ok_and(|meta| meta.attributes == gzipped() && meta.size == large.len() as u64));

    let found = store.check_content_encodings(&SystemRandom).await.unwrap();
    assert!(found.status == Status::Degraded && found.message.contains("decodes records"), "{found:?}");
}

#[tokio::test]
async fn what_a_proxy_always_decodes_is_not_stored_in_a_coding() {
    let (store, capabilities) = behind(Decodes::Always).await;
    let options = PutOptions { attributes: gzipped(), precondition: Precondition::None };
    store.put("old", ByteStream::from(gzip(b"text").await), options.clone()).await.expect("it is not known yet");
    for read in [store.head("old").await.map(drop), store.get("old", GetOptions::default()).await.map(drop)] {
        let Err(Error::Unavailable(cause)) = read else { panic!("what was decoded is taken for the record: {read:?}") };
        assert!(cause.to_string().contains("decodes objects"), "{cause}");
    }
    let found = store.check_content_encodings(&SystemRandom).await.unwrap();
    assert!(found.status == Status::Fail && found.message.contains("are refused"), "{found:?}");
    let mut capabilities = capabilities.clone();
    capabilities.content_encodings = false;
    store.apply(&capabilities);
    let refused = store.put("k", ByteStream::from(gzip(b"text").await), options).await;
    assert!(matches!(refused, Err(Error::Rejected { reason: RejectedFor::Coding, .. })), "{refused:?}");
    let plain = PutOptions::default();
    store.put("k", ByteStream::from(Bytes::from("text")), plain).await.expect("others are stored");
    let (direct, _) = open_with(|_| {}).await;
    let found = direct.check_content_encodings(&SystemRandom).await.unwrap();
    assert_eq!(found.status, Status::Pass, "{found:?}");
}
