//! The object store behind the gateways: where it is, and requests to it that are signed beforehand.

use std::{
    env,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningParams, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use form_urlencoded::Serializer;

use crate::{
    load::{
        case::{Case, Verb, key},
        clients::{Request, of_body},
    },
    report::Outcome,
};

/// Validity of signatures: longer than any benchmark takes.
const SIGNED_FOR: Duration = Duration::from_hours(6);

/// An object store that speaks plain HTTP.
#[derive(Debug, Clone)]
pub struct Store {
    /// Address it listens on.
    pub address: SocketAddr,
    /// Its process, if it is one of ours.
    pub process: Option<u32>,
    region: String,
    bucket: String,
    access_key: String,
    secret_key: String,
    /// Prefix of all keys of this run.
    pub prefix: String,
}

impl Store {
    /// Returns the one that the environment names, by the variables that tests read.
    pub fn of_environment() -> Outcome<Self> {
        let endpoint = variable("LARDER_TEST_S3_ENDPOINT")?;
        let address = endpoint.strip_prefix("http://").and_then(|address| address.trim_end_matches('/').parse().ok());
        let address =
            address.ok_or("LARDER_TEST_S3_ENDPOINT must be like http://127.0.0.1:8333: an address, no TLS")?;
        let nanos = SystemTime::UNIX_EPOCH.elapsed()?.as_nanos();
        Ok(Self {
            address,
            process: None,
            region: variable("LARDER_TEST_S3_REGION")?,
            bucket: variable("LARDER_TEST_S3_BUCKET")?,
            access_key: variable("AWS_ACCESS_KEY_ID")?,
            secret_key: variable("AWS_SECRET_ACCESS_KEY")?,
            prefix: format!("bench-{nanos}-{}", std::process::id()),
        })
    }

    /// Creates the stub, which takes any signature.
    pub fn stub(address: SocketAddr, process: u32) -> Self {
        Self {
            address,
            process: Some(process),
            region: "us-east-1".to_owned(),
            bucket: super::stub_s3::BUCKET.to_owned(),
            access_key: "benchmark".to_owned(),
            secret_key: "guards-nothing".to_owned(),
            prefix: "bench".to_owned(),
        }
    }

    /// Returns the settings with which Larder stands before it.
    pub fn settings(&self) -> [(&'static str, String); 6] {
        [
            ("LARDER_S3_ENDPOINT", format!("http://{}", self.address)),
            ("LARDER_S3_REGION", self.region.clone()),
            ("LARDER_S3_BUCKET", self.bucket.clone()),
            ("LARDER_S3_PREFIX", self.prefix.clone()),
            ("AWS_ACCESS_KEY_ID", self.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone()),
        ]
    }

    /// Returns the request of `case` to objects of its own, signed in the address. It has the same bytes each time, so
    /// neither the sender nor a proxy has anything to compute.
    pub fn request(&self, case: &Case, verb: Verb, pattern: &[u8]) -> Outcome<Request> {
        let (method, body, answer) = match verb {
            Verb::Get => ("GET", &[][..], case.bytes),
            Verb::Put => ("PUT", &pattern[..case.bytes], 0),
        };
        let identity = Credentials::new(&self.access_key, &self.secret_key, None, None, "benchmark").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(SIGNED_FOR);
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = v4::SigningParams::builder().identity(&identity).region(&self.region).name("s3");
        let params: SigningParams<'_> = params.time(SystemTime::now()).settings(settings).build()?.into();
        let (host, of_body) = (self.address.to_string(), of_body(verb, body));
        let heads = (0..case.keys).map(|number| {
            let path = format!("/{}/{}/direct/{}", self.bucket, self.prefix, key(case, number));
            let uri = format!("http://{host}{path}");
            let headers = [("host", host.as_str())].into_iter();
            let signable = SignableRequest::new(method, &uri, headers, SignableBody::UnsignedPayload)?;
            let (signed, _) = sign(signable, &params)?.into_parts();
            let query = Serializer::new(String::new()).extend_pairs(signed.params()).finish();
            Ok(format!(
                "{method} {path}?{query} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nUser-Agent: larder-bench\r\n\
                 {of_body}\r\n"
            ))
        });
        Request::new(heads, body, "200", answer)
    }
}

fn variable(name: &str) -> Outcome<String> {
    env::var(name).map_err(|_| {
        format!("{name} is not set: run `cargo xtask bench gateway`, or see `cargo xtask backend seaweedfs`").into()
    })
}
