//! A bucket, with its settings, clients and capabilities, and its opening.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;

use larder_runtime::{
    clock::{Clock, Random, SkewCorrectedClock},
    network::Proxies,
    telemetry::CostLedger,
};

use super::{
    capabilities::{Capabilities, DecodingProxy},
    control_plane::{Condition, ControlPlane},
    credentials::{AwsConfig, CredentialChain, CurrentCredentials},
    http1::{Endpoint, Http1Client, Timeouts, TlsRoots, TlsRootsError},
    location::{AddressStyle, Resolver, query},
    object_headers::{self, unquote},
    response_documents::{ErrorContext, MAX_DOCUMENT_BYTES, describe_non_list, parse_list},
    signer::Request,
    store::S3Store,
    transport::{RetrySafety, Transport},
};
use crate::{BoxError, ETag, Error, MemoryBudget, Precondition, Result};

/// Settings of an object store.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// The server; AWS when `None`.
    pub endpoint: Option<Endpoint>,
    /// Prefix of all keys: empty, or a path that ends in `/`.
    pub prefix: String,
    /// The region; if `None`, from the usual AWS sources, else `us-east-1`.
    pub region: Option<String>,
    /// The addressing style; if `None`, in the host at AWS and in the path elsewhere.
    pub style: Option<AddressStyle>,
    /// Certificate authorities to trust besides those of the system, in PEM format.
    pub ca_file: Option<PathBuf>,
    /// The proxies to use.
    pub proxies: Arc<Proxies>,
    /// True if bodies are signed. Then they are buffered and hashed first.
    pub signs_payload: bool,
    /// True if bodies are sent with `Content-MD5`. Then they are buffered and hashed first.
    pub sends_md5: bool,
    /// Encryption at rest.
    pub encryption: Option<Encryption>,
    /// Storage class of all objects, by the vendor's name.
    pub storage_class: Option<String>,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Bodies longer than this many bytes use multipart uploads; from 5 MiB to 5 GiB.
    pub part_bytes: u64,
    /// The memory for buffered bodies.
    pub memory: Arc<MemoryBudget>,
    /// Override: whether puts may be conditional.
    pub conditional_writes: Option<bool>,
    /// Override: whether deletes may be conditional.
    pub conditional_deletes: Option<bool>,
    /// Override: whether `ETag`s in conditions are quoted.
    pub quoted_etags: Option<bool>,
}

/// Server-side encryption at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With the vendor's own keys (`AES256`).
    Aes256,
    /// With a key of a key management service (`aws:kms`): this one, or the bucket's own.
    Kms(Option<String>),
}

impl S3Options {
    /// Returns the default settings for a bucket.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            endpoint: None,
            prefix: String::new(),
            region: None,
            style: None,
            ca_file: None,
            proxies: Arc::default(),
            signs_payload: false,
            sends_md5: false,
            encryption: None,
            storage_class: None,
            timeouts: Timeouts::default(),
            part_bytes: 64 << 20,
            memory: Arc::default(),
            conditional_writes: None,
            conditional_deletes: None,
            quoted_etags: None,
        }
    }
}

/// Reason why the object store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No TLS root certificates.
    #[error(transparent)]
    TlsRoots(#[from] TlsRootsError),
    /// No credentials.
    #[error(
        "cannot load credentials for the object store: no source has any; set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY, or another source of the default credential provider chain of AWS"
    )]
    NoCredentials,
    /// No endpoint of the bucket.
    #[error("cannot resolve the endpoint of bucket {bucket} from the settings and the environment")]
    Endpoint {
        /// Name of the bucket.
        bucket: String,
        /// Reason.
        #[source]
        source: BoxError,
    },
    /// The bucket cannot be used.
    #[error("cannot use bucket {bucket}")]
    Bucket {
        /// Name of the bucket.
        bucket: String,
        /// Reason.
        #[source]
        source: Error,
    },
}

impl S3Store {
    /// Opens the object store with these settings, and creates its bucket if it does not exist. Its capabilities are
    /// unknown until a probe. The object store's time corrects `clock` ([`S3Store::clock`]).
    pub async fn open(
        options: S3Options,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> std::result::Result<Self, OpenError> {
        Self::open_with_ledger(options, clock, random, Arc::default()).await
    }

    /// Opens the object store like [`S3Store::open`], and charges the cost of its requests in `ledger`.
    pub async fn open_with_ledger(
        options: S3Options,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        ledger: Arc<CostLedger>,
    ) -> std::result::Result<Self, OpenError> {
        let store = Self::connect(options, clock, random, ledger).await?;
        store.ensure_bucket().await?;
        Ok(store)
    }

    /// Connects to the object store with these settings, without creating its bucket.
    pub async fn connect(
        options: S3Options,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        ledger: Arc<CostLedger>,
    ) -> std::result::Result<Self, OpenError> {
        let roots = TlsRoots::load(options.ca_file.as_deref())?;
        let http =
            Http1Client::new(options.timeouts.clone(), roots, Arc::clone(&options.proxies), Arc::clone(&clock), ledger);
        let http = Arc::new(http);
        let sources = AwsConfig::load(&http, options.region.clone(), options.endpoint.as_ref()).await;
        let source = Arc::new(CredentialChain::new(&http, sources.region()));
        let credentials = Arc::new(CurrentCredentials::new(source, Arc::clone(&clock)));
        let key = credentials.get().await.map_err(|_| OpenError::NoCredentials)?;
        let clock = Arc::new(SkewCorrectedClock::new(clock));
        let style = options.style;
        let resolver =
            Resolver::new(&options.bucket, style, &sources, &http, Arc::clone(&credentials), Arc::clone(&clock)).await;
        let resolver = resolver.map_err(|source| OpenError::Endpoint { bucket: options.bucket.clone(), source })?;
        let resolver = Arc::new(resolver);
        let location = resolver.location();
        let (address, region) = (&location.address.endpoint, &location.region);
        let proxy = options.proxies.proxy_for(address.is_tls, &address.host).map(tracing::field::display);
        tracing::info!(bucket = options.bucket, endpoint = %address, region, proxy, "bucket endpoint resolved");
        let context = Arc::new(ErrorContext::new(address.to_string(), options.bucket.clone()));
        context.set_key_id(&key.access_key_id);
        let control = ControlPlane::new(Arc::clone(&resolver), Arc::clone(&credentials), Arc::clone(&context));
        let retry_timeout = options.timeouts.response;
        let transport = Transport::new(http, resolver, (credentials, context), clock, random, retry_timeout);
        let capabilities = ArcSwap::from_pointee(Capabilities::ALL);
        let bucket = Arc::new(Bucket {
            options,
            transport,
            control,
            tasks: TaskTracker::new(),
            capabilities,
            decoding_proxy: DecodingProxy::default(),
        });
        Ok(Self::new(bucket))
    }

    /// Reloads the credentials. Those in use stay if that fails.
    pub async fn reload_credentials(&self) -> std::result::Result<(), OpenError> {
        self.bucket().transport.credentials().reload().await.map_err(|_| OpenError::NoCredentials)
    }

    async fn ensure_bucket(&self) -> std::result::Result<(), OpenError> {
        let bucket = self.bucket();
        let name = || bucket.transport.bucket().to_owned();
        let bucket_error = |source: Error| OpenError::Bucket { bucket: name(), source };
        if !bucket.exists().await.map_err(bucket_error)? {
            bucket.control.create_bucket().await.map_err(bucket_error)?;
            tracing::info!(bucket = name(), "bucket created");
        }
        Ok(())
    }

    /// Returns whether the bucket exists.
    pub async fn bucket_exists(&self) -> Result<bool> {
        self.bucket().exists().await
    }
}

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    /// Its settings.
    pub options: S3Options,
    /// Client for objects.
    pub transport: Transport,
    /// Client for everything else.
    pub control: ControlPlane,
    /// Background tasks.
    pub tasks: TaskTracker,
    /// Capabilities of the object store; until a probe all are assumed.
    pub capabilities: ArcSwap<Capabilities>,
    /// Detection of a proxy that decodes objects.
    pub decoding_proxy: DecodingProxy,
}

impl Bucket {
    /// Returns whether the bucket exists. Lists one key: unlike those of a HEAD, its errors have a message, and its
    /// response shows whether the server has an S3 API.
    pub async fn exists(&self) -> Result<bool> {
        let context = self.transport.context();
        let mut request = Request::new("GET", None);
        request.query = query(&[("list-type", "2"), ("max-keys", "1"), ("prefix", &self.options.prefix)]);
        let response = match self.transport.send_raw(request, RetrySafety::Idempotent).await? {
            Ok(response) => response,
            Err(error) if error.code == "NoSuchBucket" => return Ok(false),
            Err(error) if error.status == 404 && !error.is_not_s3() => return Ok(false),
            Err(error) if error.code.is_empty() => return Err(Error::Unavailable(error.describe(context).into())),
            Err(error) => return Err(error.into_error(context)),
        };
        let head = response.head.clone();
        let document = response.into_bytes(MAX_DOCUMENT_BYTES).await?;
        match parse_list(&document, &self.options.prefix) {
            Ok(_) => Ok(true),
            Err(_) => Err(Error::Unavailable(describe_non_list(&head, context).into())),
        }
    }

    /// Returns the full key of an object.
    pub fn full_key(&self, key: &str) -> String {
        [&self.options.prefix, key].concat()
    }

    /// Returns the condition of a put as header values.
    pub fn condition_for(&self, precondition: &Precondition) -> Result<Condition> {
        let capabilities = self.capabilities.load();
        if *precondition != Precondition::None && !capabilities.conditional_writes {
            return Err(Error::Unsupported("conditional writes"));
        }
        object_headers::condition_headers(precondition, capabilities.quoted_etags)
    }

    /// Adds the headers of a precondition.
    pub fn add_condition(&self, request: &mut Request<'_>, precondition: &Precondition) -> Result<()> {
        let Condition { if_match, if_none_match } = self.condition_for(precondition)?;
        if let Some(value) = if_match {
            request.header("if-match", value);
        }
        if let Some(value) = if_none_match {
            request.header("if-none-match", value);
        }
        Ok(())
    }

    /// Adds the headers for storage class and encryption.
    pub fn add_storage_headers(&self, request: &mut Request<'_>) {
        let class = self.options.storage_class.as_deref();
        request.headers.extend(object_headers::storage_headers(self.options.encryption.as_ref(), class));
    }

    /// Maps the error of a write: an absent object matches no `ETag`.
    pub fn map_write_error(&self, error: Error, precondition: &Precondition) -> Error {
        match (error, precondition) {
            (Error::NotFound, Precondition::IfMatch(_)) => Error::Precondition,
            (Error::NotFound, Precondition::None | Precondition::IfAbsent) => {
                Error::Unavailable(format!("bucket {} does not exist", self.transport.bucket()).into())
            }
            (error, _) => error,
        }
    }

    /// Returns the vendor's `ETag` of an object, and the time of its write.
    pub async fn head_etag(&self, key: &str) -> Result<(ETag, SystemTime)> {
        let response = self.transport.send(Request::new("HEAD", Some(key)), RetrySafety::Idempotent).await?;
        let etag = response.head.get("etag").map(unquote);
        let date = response.head.get("last-modified").and_then(|date| httpdate::parse_http_date(date).ok());
        etag.zip(date).ok_or_else(|| {
            Error::Unavailable("the object store returned no ETag or Last-Modified for the object".into())
        })
    }
}
