//! Our client beside the AWS SDK: each reads what the other wrote, and both see the same.

use aws_credential_types::Credentials;
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Config, Region, RequestChecksumCalculation, ResponseChecksumValidation},
};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use larder::storage::{
    Attributes, ByteStream, GetOptions, ListOptions, ObjectStore, Precondition, PutOptions, s3::S3Options,
};
use tokio::net::TcpStream;

use crate::behind_proxy::stream;
use larder_test_kit::s3_backend::{open_with, variable};

/// More bytes than any test reads at once.
const MUCH: u64 = 64 << 20;

/// The SDK's way to the wire, with nothing of ours in it: a connection for each request.
#[derive(Debug, Clone)]
struct Plain;

impl HttpClient for Plain {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Plain {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(async move {
            let sent = exchange(request).await;
            sent.map_err(|error| ConnectorError::io(error.to_string().into()))
        })
    }
}

async fn exchange(request: HttpRequest) -> Result<HttpResponse, Box<dyn std::error::Error + Send + Sync>> {
    let request = request.try_into_http1x()?;
    let (mut parts, body) = request.into_parts();
    let address = parts.uri.authority().ok_or("no host")?.to_string();
    parts.headers.insert("host", address.parse()?);
    parts.uri = parts.uri.path_and_query().ok_or("no path")?.as_str().parse()?;
    let body = Full::new(Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(http::Request::from_parts(parts, body)).await?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut response = HttpResponse::new(StatusCode::try_from(parts.status.as_u16())?, SdkBody::from(body));
    for (name, value) in &parts.headers {
        response.headers_mut().append(name.as_str().to_owned(), value.to_str()?.to_owned());
    }
    Ok(response)
}

fn sdk(options: &S3Options) -> Client {
    let keys = Credentials::new(variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"), None, None, "test");
    Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(options.endpoint.as_ref().expect("tests name one").to_string())
            .region(Region::new(options.region.clone().expect("tests name one")))
            .force_path_style(true)
            .credentials_provider(keys)
            .http_client(Plain)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build(),
    )
}

fn types() -> [Attributes; 3] {
    let attributes = |content_type: &str, coding: Option<&str>| Attributes {
        content_type: content_type.to_owned(),
        content_encoding: coding.map(str::to_owned),
    };
    [
        attributes("text/plain; charset=utf-8", None),
        attributes("application/json", Some("gzip")),
        attributes("image/svg+xml", Some("br")),
    ]
}

#[tokio::test]
async fn what_we_write_the_sdk_reads_and_the_other_way_round() {
    let mut kept = None;
    let (ours, _) = open_with(|options| {
        options.part_bytes = 5 << 20;
        kept = Some(options.clone());
    })
    .await;
    let options = kept.expect("it was seen");
    let theirs = sdk(&options);
    let sizes = [0_u32, 1, 1000, 100_000, 3 << 20, 11 << 20];
    for (turn, size) in sizes.into_iter().enumerate() {
        let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).expect("it is small")).collect();
        let attributes = types()[turn % 3].clone();
        let (key, whole) = (format!("a'(b)!/{turn} +%"), format!("{}a'(b)!/{turn} +%", options.prefix));

        let put = PutOptions { attributes: attributes.clone(), precondition: Precondition::None };
        let outcome = ours.put(&key, stream(&bytes, turn % 2 == 0), put).await.unwrap();
        let read = theirs.get_object().bucket(&options.bucket).key(&whole).send().await.unwrap();
        assert_eq!(read.content_type(), Some(attributes.content_type.as_str()));
        assert_eq!(read.content_encoding(), attributes.content_encoding.as_deref());
        let etag = read.e_tag().unwrap().trim_matches('"').to_owned();
        assert!(outcome.etag.as_str().starts_with(&etag), "{} {etag}", outcome.etag);
        assert!(read.body.collect().await.unwrap().into_bytes() == bytes, "{size} bytes came back changed");

        let body = aws_sdk_s3::primitives::ByteStream::from(bytes.clone());
        let put = theirs.put_object().bucket(&options.bucket).key(&whole).body(body);
        let put = put.content_type(&attributes.content_type).set_content_encoding(attributes.content_encoding.clone());
        put.send().await.unwrap();
        let object = ours.get(&key, GetOptions::default()).await.unwrap();
        assert_eq!((object.meta.size, &object.meta.attributes), (u64::from(size), &attributes));
        assert!(object.body.into_bytes(MUCH).await.unwrap() == bytes, "{size} bytes came back changed");
    }
    let listed = theirs.list_objects_v2().bucket(&options.bucket).prefix(&options.prefix).send().await.unwrap();
    let listed: Vec<_> =
        listed.contents().iter().map(|object| (object.key().unwrap(), object.size().unwrap())).collect();
    let page = ours.list(ListOptions { prefix: String::new(), start_after: None, limit: 1000 }).await.unwrap();
    let ours: Vec<_> = page.objects.iter().map(|object| (options.prefix.clone() + &object.key, object.size)).collect();
    let ours: Vec<_> =
        ours.iter().map(|(key, size)| (key.as_str(), i64::try_from(*size).expect("it is small"))).collect();
    assert_eq!(ours, listed);
    assert_eq!(ours.len(), sizes.len());
}

#[tokio::test]
async fn what_either_deletes_is_gone_for_both() {
    let mut kept = None;
    let (ours, _) = open_with(|options| kept = Some(options.clone())).await;
    let options = kept.expect("it was seen");
    let theirs = sdk(&options);
    let whole = format!("{}k", options.prefix);
    let put = async || ours.put("k", ByteStream::from(Bytes::from("x")), PutOptions::default()).await.unwrap();
    put().await;
    theirs.delete_object().bucket(&options.bucket).key(&whole).send().await.unwrap();
    assert!(matches!(ours.head("k").await, Err(larder::storage::Error::NotFound)));
    put().await;
    ours.delete("k", Precondition::None).await.unwrap();
    let absent = theirs.head_object().bucket(&options.bucket).key(&whole).send().await;
    assert!(absent.unwrap_err().into_service_error().is_not_found());
}
