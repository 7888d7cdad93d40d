//! The location of the bucket: its address, the URLs of its objects, and their resolution.
//!
//! Endpoint, region and addressing style are resolved only here, by the SDK's own rules, for our own requests and for
//! those of the SDK; both follow when the bucket is elsewhere.

use std::{fmt::Write as _, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use aws_config::SdkConfig;
use aws_sdk_s3::{
    Client, Config,
    config::{
        Builder, IdentityCache, ProvideCredentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        SharedCredentialsProvider,
        endpoint::{DefaultResolver, Params, ResolveEndpoint},
    },
};
use aws_smithy_async::time::TimeSource;
use http::Uri;

use larder_runtime::clock::{Clock, SkewCorrectedClock};

use super::{
    control_plane::SdkConnector,
    credentials::{AwsConfig, CurrentCredentials},
    http1::{Endpoint, Http1Client},
};
use crate::BoxError;

/// The known location of the bucket.
#[derive(Debug)]
pub struct Location {
    /// Address for the requests that Larder signs itself.
    pub address: Address,
    /// The region that requests are signed for.
    pub region: String,
    /// The SDK's client, for the same server.
    pub client: Client,
}

/// Resolver of the bucket's location.
#[derive(Debug)]
pub struct Resolver {
    inputs: LocationInputs,
    current: ArcSwap<Location>,
}

/// Inputs of a location, except the region.
#[derive(Debug)]
struct LocationInputs {
    bucket: String,
    /// The server; AWS's own for the region when `None`.
    endpoint: Option<String>,
    is_path_style: bool,
    config: Config,
    use_fips: bool,
    use_dual_stack: bool,
}

/// The object store's time, for the SDK's signatures.
#[derive(Debug)]
struct SdkTimeSource(Arc<SkewCorrectedClock>);

impl TimeSource for SdkTimeSource {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

impl Resolver {
    /// Resolves the location of `bucket` by `sources`. Without a configured style, the bucket is in the host at AWS, if
    /// certificates allow that, and in the path elsewhere.
    pub async fn new(
        bucket: &str,
        style: Option<AddressStyle>,
        sources: &AwsConfig,
        http: &Arc<Http1Client>,
        credentials: Arc<CurrentCredentials>,
        clock: Arc<SkewCorrectedClock>,
    ) -> Result<Self, BoxError> {
        let config = Builder::from(sources.config())
            .http_client(SdkConnector::for_object_store(Arc::clone(http)))
            .credentials_provider(SharedCredentialsProvider::from(credentials as Arc<dyn ProvideCredentials>))
            // `CurrentCredentials` caches them, for both clients.
            .identity_cache(IdentityCache::no_cache())
            .time_source(SdkTimeSource(clock))
            // Several servers reject checksum trailers; others store them as a content encoding.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let inputs = LocationInputs::new(bucket, style, sources.endpoint(), sources.config(), config);
        let current = ArcSwap::from_pointee(inputs.location(sources.region()).await?);
        Ok(Self { inputs, current })
    }

    /// Returns the name of the bucket.
    pub fn bucket(&self) -> &str {
        &self.inputs.bucket
    }

    /// Returns the configured server, unless it is AWS's own for the region.
    pub fn endpoint(&self) -> Option<&str> {
        self.inputs.endpoint.as_deref()
    }

    /// Returns the known location of the bucket.
    pub fn location(&self) -> Arc<Location> {
        self.current.load_full()
    }

    /// Resolves the location of the bucket in `region`, and uses it from now on.
    pub async fn move_to_region(&self, region: &str) -> Result<Arc<Location>, BoxError> {
        let location = Arc::new(self.inputs.location(region).await?);
        self.current.store(Arc::clone(&location));
        Ok(location)
    }

    /// Returns the same bucket at the server of a redirect, and uses it from now on if it `is_permanent`.
    pub fn redirect(&self, from: &Location, endpoint: Endpoint, is_permanent: bool) -> Arc<Location> {
        // The SDK adds the bucket to the host itself.
        let server =
            endpoint.host.strip_prefix(&format!("{}.", self.inputs.bucket)).filter(|_| !self.inputs.is_path_style);
        let server = server.map_or_else(|| endpoint.clone(), |host| endpoint.at(host));
        let config = from.client.config().to_builder().endpoint_url(server.to_string()).build();
        let (client, address) = (Client::from_conf(config), from.address.moved_to(endpoint));
        let location = Arc::new(Location { address, region: from.region.clone(), client });
        if is_permanent {
            self.current.store(Arc::clone(&location));
        }
        location
    }
}

impl LocationInputs {
    /// Returns the inputs for a bucket: `environment` has the values of the usual sources, and `config` is the
    /// configuration of the SDK for the object store.
    fn new(
        bucket: &str,
        style: Option<AddressStyle>,
        endpoint: Option<&str>,
        environment: &SdkConfig,
        mut config: Builder,
    ) -> Self {
        let endpoint = endpoint.map(str::to_owned);
        let is_path_style = style.map_or(endpoint.is_some(), |style| style == AddressStyle::Path);
        config.set_endpoint_url(endpoint.clone()).set_force_path_style(Some(is_path_style));
        Self {
            bucket: bucket.to_owned(),
            endpoint,
            is_path_style,
            config: config.build(),
            use_fips: environment.use_fips().unwrap_or_default(),
            use_dual_stack: environment.use_dual_stack().unwrap_or_default(),
        }
    }

    async fn location(&self, region: &str) -> Result<Location, BoxError> {
        let params = Params::builder()
            .bucket(&self.bucket)
            .region(region)
            .set_endpoint(self.endpoint.clone())
            .force_path_style(self.is_path_style)
            .use_fips(self.use_fips)
            .use_dual_stack(self.use_dual_stack)
            .build()?;
        let endpoint = DefaultResolver::new().resolve_endpoint(&params).await?;
        let (server, root) = split_url(endpoint.url())?;
        let scheme = endpoint.auth_schemes().first();
        let signed_for = scheme.and_then(|scheme| scheme.get("signingRegion")?.as_string()).unwrap_or(region);
        let config = self.config.to_builder().region(Region::new(region.to_owned())).build();
        let (client, region) = (Client::from_conf(config), signed_for.to_owned());
        Ok(Location { address: Address::new(server, root), region, client })
    }
}

/// Splits an endpoint's URL into the server and the path before keys.
fn split_url(url: &str) -> Result<(Endpoint, String), BoxError> {
    let uri: Uri = url.parse()?;
    let (scheme, authority) = (uri.scheme_str().ok_or("it has no scheme")?, uri.authority().ok_or("it has no host")?);
    let endpoint = format!("{scheme}://{authority}").parse().map_err(|error| format!("the endpoint {url} {error}"))?;
    Ok((endpoint, format!("{}/", uri.path().trim_end_matches('/'))))
}

/// A bucket on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The server to connect to.
    pub endpoint: Endpoint,
    /// The header `Host`.
    pub host: String,
    /// The part of a path before the key: `/`, or `/bucket/`.
    root: String,
}

/// The addressing style of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressStyle {
    /// In the path: every server accepts it, but AWS has deprecated it.
    Path,
    /// In the host.
    VirtualHost,
}

impl Address {
    /// Returns the address of a bucket whose keys come after `root` in paths.
    pub fn new(endpoint: Endpoint, root: impl Into<String>) -> Self {
        Self { host: endpoint.authority(), endpoint, root: root.into() }
    }

    /// Returns the address of the same bucket on the server of a redirect.
    #[must_use]
    pub fn moved_to(&self, endpoint: Endpoint) -> Self {
        Self { host: endpoint.authority(), endpoint, root: self.root.clone() }
    }

    /// Returns the path of an object.
    pub fn object(&self, key: &str) -> String {
        let mut path = String::with_capacity(self.root.len() + key.len() + 16);
        path.push_str(&self.root);
        encode_into(&mut path, key, true);
        path
    }

    /// Returns the path of the bucket itself.
    pub fn bucket(&self) -> &str {
        if self.root.len() > 1 { self.root.trim_end_matches('/') } else { &self.root }
    }
}

/// Appends `text`, percent-encoded as signatures require: everything except letters, digits and `-._~`, and the slash
/// in paths.
pub fn encode_into(encoded: &mut String, text: &str, is_path: bool) {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || (is_path && byte == b'/')
    };
    // Most keys need no encoding, and are copied as a whole.
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        encoded.push_str(text);
        return;
    }
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
}

/// Returns a query of these names and values, in the order of the names.
pub fn query(parts: &[(&str, &str)]) -> String {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    let mut query = String::new();
    for (name, value) in sorted {
        if !query.is_empty() {
            query.push('&');
        }
        encode_into(&mut query, name, false);
        query.push('=');
        encode_into(&mut query, value, false);
    }
    query
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_config::BehaviorVersion;
    use aws_credential_types::Credentials;
    use aws_sdk_s3::presigning::PresigningConfig;

    use super::*;

    /// Values of the environment besides the region.
    #[derive(Debug, Clone, Copy, Default)]
    struct Environment {
        endpoint: Option<&'static str>,
        style: Option<AddressStyle>,
        is_fips: bool,
        is_dual_stack: bool,
    }

    fn inputs(bucket: &str, environment: Environment) -> LocationInputs {
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest());
        let config = config.use_fips(environment.is_fips).use_dual_stack(environment.is_dual_stack).build();
        let keys =
            Credentials::builder().access_key_id("key").secret_access_key("secret").provider_name("test").build();
        let builder = Builder::from(&config).credentials_provider(keys);
        LocationInputs::new(bucket, environment.style, environment.endpoint, &config, builder)
    }

    fn own_url(location: &Location) -> String {
        format!("{}{}", location.address.endpoint, location.address.object("k"))
    }

    async fn sdk_url(location: &Location, bucket: &str) -> String {
        let presigning = PresigningConfig::expires_in(Duration::from_mins(1)).expect("it is not long");
        let request = location.client.get_object().bucket(bucket).key("k").presigned(presigning).await;
        let request = request.expect("it can be signed");
        let (url, query) = request.uri().split_once('?').expect("it is signed");
        assert!(query.contains(&format!("%2F{}%2Fs3%2F", location.region)), "{query}");
        url.to_owned()
    }

    #[tokio::test]
    async fn our_own_requests_and_those_of_the_sdk_go_to_one_place() {
        let (usual, fips) =
            (Environment::default(), Environment { is_fips: true, is_dual_stack: true, ..Environment::default() });
        let minio = Environment { endpoint: Some("http://minio:9000"), ..Environment::default() };
        let in_host = Environment { style: Some(AddressStyle::VirtualHost), ..minio };
        let in_path = Environment { style: Some(AddressStyle::Path), ..Environment::default() };
        let below = Environment { endpoint: Some("https://store.example/s3/"), ..Environment::default() };
        for (bucket, region, environment, expected) in [
            ("b-1", "eu-north-1", usual, "https://b-1.s3.eu-north-1.amazonaws.com/k"),
            ("b.1", "cn-north-1", usual, "https://s3.cn-north-1.amazonaws.com.cn/b.1/k"),
            ("b-1", "us-gov-west-1", fips, "https://b-1.s3-fips.dualstack.us-gov-west-1.amazonaws.com/k"),
            ("b-1", "eu-north-1", in_path, "https://s3.eu-north-1.amazonaws.com/b-1/k"),
            ("b-1", "eu-north-1", minio, "http://minio:9000/b-1/k"),
            ("b-1", "eu-north-1", in_host, "http://b-1.minio:9000/k"),
            ("b-1", "eu-north-1", below, "https://store.example/s3/b-1/k"),
        ] {
            let location = inputs(bucket, environment).location(region).await.expect("it is somewhere");
            assert_eq!((own_url(&location).as_str(), location.region.as_str()), (expected, region));
            assert_eq!(sdk_url(&location, bucket).await, expected);
        }
        let both = Environment { endpoint: minio.endpoint, ..fips };
        assert!(inputs("b-1", both).location("us-east-1").await.is_err(), "no self-hosted server has FIPS endpoints");
    }

    #[tokio::test]
    async fn another_region_and_a_redirection_move_both() {
        let inputs = inputs("b-1", Environment::default());
        let current = ArcSwap::from_pointee(inputs.location("us-east-1").await.expect("it is somewhere"));
        let resolver = Resolver { inputs, current };
        resolver.move_to_region("eu-north-1").await.expect("it is somewhere");
        let moved = resolver.location();
        assert_eq!(own_url(&moved), "https://b-1.s3.eu-north-1.amazonaws.com/k");
        assert_eq!(sdk_url(&moved, "b-1").await, own_url(&moved));
        let endpoint: Endpoint = "https://b-1.s3-elsewhere.example".parse().expect("an origin");
        let temporary = resolver.redirect(&moved, endpoint.clone(), false);
        assert_eq!(own_url(&temporary), "https://b-1.s3-elsewhere.example/k");
        assert_eq!(own_url(&resolver.location()), own_url(&moved), "it is not for good");
        resolver.redirect(&moved, endpoint, true);
        let moved = resolver.location();
        assert_eq!((own_url(&moved), sdk_url(&moved, "b-1").await), (own_url(&temporary), own_url(&temporary)));
    }

    #[test]
    fn a_bucket_is_in_the_path_or_in_the_host() {
        let minio: Endpoint = "http://minio:9000".parse().expect("an origin");
        let path = Address::new(minio.clone(), "/b/");
        assert_eq!(
            (path.host.as_str(), path.object("k/a b").as_str(), path.bucket()),
            ("minio:9000", "/b/k/a%20b", "/b")
        );
        let host = Address::new(minio.at("b.minio"), "/");
        assert_eq!((host.host.as_str(), host.object("k").as_str(), host.bucket()), ("b.minio:9000", "/k", "/"));
    }

    #[test]
    fn a_query_is_sorted_and_encoded() {
        assert_eq!(query(&[("prefix", "a/b c"), ("list-type", "2")]), "list-type=2&prefix=a%2Fb%20c");
    }
}
