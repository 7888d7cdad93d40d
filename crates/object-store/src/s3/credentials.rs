//! Credentials for the object store: their provider, their renewal before they expire, and their reload after the
//! object store rejected them.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::ProfileFileRegionProvider,
};
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
use aws_types::service_config::ServiceConfigKey;
use parking_lot::{Mutex, RwLock};

use larder_runtime::clock::{Clock, Timestamp};

use super::{
    control_plane::SdkConnector,
    http1::{Endpoint, Http1Client},
    signer::SigningKey,
};
use crate::{BoxError, Error, Result};

/// Time before their expiry at which credentials are renewed.
const REFRESH_MARGIN: Duration = Duration::from_mins(5);

/// Interval between a failed renewal and the next attempt, while the old credentials are still valid.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Minimum interval between reloads of rejected credentials.
const RELOAD_INTERVAL: Duration = Duration::from_secs(30);

/// Credentials of an account of the object store.
pub struct Credentials {
    /// The key id, which is no secret.
    pub access_key_id: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
    /// Expiry, if they expire.
    pub expires_at: Option<Timestamp>,
    secret: String,
    signing_key: Mutex<Option<SigningKey>>,
}

impl Credentials {
    /// Returns credentials with these keys.
    pub fn new(
        access_key_id: String,
        secret: String,
        session_token: Option<String>,
        expires_at: Option<Timestamp>,
    ) -> Self {
        Self { access_key_id, session_token, expires_at, secret, signing_key: Mutex::default() }
    }

    /// Returns the key that signs requests of a day (`YYYYMMDD`) in a region; derived once for each day.
    pub fn signing_key(&self, day: [u8; 8], region: &str) -> SigningKey {
        let mut cached = self.signing_key.lock();
        match &*cached {
            Some(key) if key.matches(day, region) => key.clone(),
            Some(_) | None => cached.insert(SigningKey::derive(&self.secret, day, region)).clone(),
        }
    }

    /// Converts them to the type of the SDK.
    fn to_sdk(&self) -> aws_credential_types::Credentials {
        let builder = aws_credential_types::Credentials::builder().provider_name("larder");
        let mut builder = builder.access_key_id(&self.access_key_id).secret_access_key(&self.secret);
        builder.set_session_token(self.session_token.clone());
        builder.build()
    }

    fn is_same_as(&self, other: &Self) -> bool {
        (&self.access_key_id, &self.secret, &self.session_token)
            == (&other.access_key_id, &other.secret, &other.session_token)
    }

    fn is_valid_for(&self, duration: Duration, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end.since(now) > duration)
    }
}

impl Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A provider of credentials.
#[async_trait]
pub trait CredentialsProvider: Debug + Send + Sync + 'static {
    /// Loads credentials that are valid now.
    async fn load(&self) -> std::result::Result<Credentials, BoxError>;
}

/// The credentials in use, for our own requests and for the SDK's.
#[derive(Debug)]
pub struct CurrentCredentials {
    source: Arc<dyn CredentialsProvider>,
    clock: Arc<dyn Clock>,
    current: RwLock<Option<Arc<Credentials>>>,
    /// Held while credentials are loaded.
    loads: tokio::sync::Mutex<LoadTimes>,
}

/// Times at which credentials were loaded, by the monotonic clock.
#[derive(Debug, Default)]
struct LoadTimes {
    /// Time of the last failure, unless a success came after it.
    failed_at: Option<Duration>,
    /// Time of the last reload after a rejection.
    rejected_at: Option<Duration>,
}

impl CurrentCredentials {
    /// Returns credentials that are loaded on first use.
    pub fn new(source: Arc<dyn CredentialsProvider>, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, current: RwLock::default(), loads: tokio::sync::Mutex::default() }
    }

    /// Returns credentials that are valid now.
    pub async fn get(&self) -> Result<Arc<Credentials>> {
        let cached = self.cached();
        match cached {
            Some(cached) if cached.is_valid_for(REFRESH_MARGIN, self.clock.now()) => Ok(cached),
            Some(cached) if cached.is_valid_for(Duration::ZERO, self.clock.now()) => {
                // One caller renews, the others continue with the ones that are still valid.
                match self.loads.try_lock() {
                    Ok(mut loads) => self.renew(&mut loads).await.or(Ok(cached)),
                    Err(_) => Ok(cached),
                }
            }
            Some(_) | None => {
                let mut loads = self.loads.lock().await;
                match self.cached() {
                    Some(cached) if cached.is_valid_for(Duration::ZERO, self.clock.now()) => Ok(cached),
                    Some(_) | None => self.renew(&mut loads).await,
                }
            }
        }
    }

    /// Reloads the credentials on an operator's request. Those in use stay if that fails.
    pub async fn reload(&self) -> Result<()> {
        let mut loads = self.loads.lock().await;
        self.load(&mut loads).await.map(drop)
    }

    /// Reloads the credentials after the object store rejected them, at most once in [`RELOAD_INTERVAL`]. Returns
    /// whether there are different ones now, so that the request is worth another attempt.
    pub async fn reload_rejected(&self, rejected: &Credentials) -> bool {
        let mut loads = self.loads.lock().await;
        if self.cached().is_some_and(|cached| !cached.is_same_as(rejected)) {
            return true;
        }
        let now = self.clock.monotonic();
        if loads.rejected_at.is_some_and(|before| now.saturating_sub(before) < RELOAD_INTERVAL) {
            return false;
        }
        loads.rejected_at = Some(now);
        let is_different = self.load(&mut loads).await.is_ok_and(|loaded| !loaded.is_same_as(rejected));
        if is_different {
            tracing::info!("the object store rejected the credentials; new ones loaded");
        }
        is_different
    }

    async fn renew(&self, loads: &mut LoadTimes) -> Result<Arc<Credentials>> {
        let now = self.clock.monotonic();
        let is_cached = self.cached().is_some();
        if is_cached && loads.failed_at.is_some_and(|failed| now.saturating_sub(failed) < RETRY_INTERVAL) {
            return Err(Error::Unavailable(
                "cannot renew the credentials: the last attempt failed less than 30 s ago".into(),
            ));
        }
        self.load(loads).await
    }

    async fn load(&self, loads: &mut LoadTimes) -> Result<Arc<Credentials>> {
        match self.source.load().await {
            Ok(loaded) => {
                let loaded = Arc::new(loaded);
                *self.current.write() = Some(Arc::clone(&loaded));
                loads.failed_at = None;
                Ok(loaded)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot load credentials for the object store");
                loads.failed_at = Some(self.clock.monotonic());
                Err(Error::Unavailable(error))
            }
        }
    }

    fn cached(&self) -> Option<Arc<Credentials>> {
        self.current.read().clone()
    }
}

impl ProvideCredentials for CurrentCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let current = self.get().await.map_err(CredentialsError::provider_error)?;
            Ok(current.to_sdk())
        })
    }
}

/// Returns whether an error response rejects the credentials of the request, or may do so. For an unknown key several
/// vendors only report that access is denied, and the response to a HEAD has no code at all.
pub fn rejects_credentials(status: u16, code: &str) -> bool {
    match code {
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "InvalidSecurity"
        | "AuthFailure"
        | "AccessDenied"
        | "Forbidden"
        | "Unauthorized" => true,
        "" => matches!(status, 400 | 401 | 403),
        _ => status == 401,
    }
}

// The default credential provider chain of AWS, which also has region and endpoint: environment, profiles, web
// identity, containers, instances.

/// Default region: the one that servers other than AWS's expect.
const DEFAULT_REGION: &str = "us-east-1";

/// Region, endpoint and SDK configuration, from the settings and the usual sources of AWS.
#[derive(Debug)]
pub struct AwsConfig {
    config: SdkConfig,
    endpoint: Option<String>,
}

impl AwsConfig {
    /// Reads the usual sources; `region` and `endpoint` take precedence. For a server that is not AWS's it does not
    /// query the instance metadata for a region: without a response that takes seconds, and the SDK logs a warning.
    pub async fn load(http: &Arc<Http1Client>, region: Option<String>, endpoint: Option<&Endpoint>) -> Self {
        let region = if let Some(region) = region {
            Some(Region::new(region))
        } else {
            let configured = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new());
            configured.or_else(ProfileFileRegionProvider::new()).region().await
        };
        let is_configured = region.is_some();
        let region_or_default = region.unwrap_or(Region::from_static(DEFAULT_REGION));
        let mut config = loader(http).region(region_or_default).load().await;
        let endpoint = endpoint.map(ToString::to_string).or_else(|| configured_endpoint(&config));
        if !is_configured && endpoint.is_none() {
            config = loader(http).load().await;
        }
        Self { config, endpoint }
    }

    /// Returns the region.
    pub fn region(&self) -> &str {
        self.config.region().map_or(DEFAULT_REGION, Region::as_ref)
    }

    /// Returns the endpoint; `None` for the one of AWS in the region.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Returns the configuration for the SDK.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }
}

fn loader(http: &Arc<Http1Client>) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest()).http_client(SdkConnector::for_credential_chain(Arc::clone(http)))
}

/// Returns the endpoint of the environment or the profile for S3, as the SDK's own client looks it up.
fn configured_endpoint(config: &SdkConfig) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok()?;
    let of_service = config.service_config().and_then(|services| services.load_config(key));
    of_service.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// Credentials from the chain, which is read again each time: the SDK reads a profile only once.
#[derive(Debug)]
pub struct CredentialChain {
    http: Arc<Http1Client>,
    region: String,
}

impl CredentialChain {
    /// Returns a chain that requests credentials in `region`, if its provider has regions.
    pub fn new(http: &Arc<Http1Client>, region: &str) -> Self {
        Self { http: Arc::clone(http), region: region.to_owned() }
    }
}

#[async_trait]
impl CredentialsProvider for CredentialChain {
    async fn load(&self) -> Result<Credentials, BoxError> {
        let config = loader(&self.http).region(Region::new(self.region.clone())).load().await;
        let provider = config.credentials_provider().ok_or("no credential provider is configured")?;
        let found = provider.provide_credentials().await?;
        Ok(Credentials::new(
            found.access_key_id().to_owned(),
            found.secret_access_key().to_owned(),
            found.session_token().map(str::to_owned),
            found.expiry().map(Into::into),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use larder_runtime::clock::ManualClock;

    use super::*;

    /// A provider whose key changes when a test says so.
    #[derive(Debug, Default)]
    struct Rotating {
        loads: AtomicU32,
        key: AtomicU32,
    }

    #[async_trait]
    impl CredentialsProvider for Rotating {
        async fn load(&self) -> std::result::Result<Credentials, BoxError> {
            self.loads.fetch_add(1, Relaxed);
            Ok(Credentials::new(format!("key-{}", self.key.load(Relaxed)), "secret".to_owned(), None, None))
        }
    }

    #[tokio::test]
    async fn rejected_credentials_are_reloaded_at_most_once_in_half_a_minute() {
        let (source, clock) = (Arc::new(Rotating::default()), Arc::new(ManualClock::new(Timestamp::from_millis(0))));
        let current = CurrentCredentials::new(source.clone(), clock.clone());
        let first = current.get().await.expect("they are loaded");
        assert!(!current.reload_rejected(&first).await, "the source has no others");
        source.key.store(1, Relaxed);
        assert!(!current.reload_rejected(&first).await, "they were loaded just now");
        assert_eq!(source.loads.load(Relaxed), 2);
        clock.advance(RELOAD_INTERVAL);
        assert!(current.reload_rejected(&first).await);
        assert_eq!(current.get().await.expect("they are there").access_key_id, "key-1");
        // A request signed before that is signed again, without a reload.
        assert!(current.reload_rejected(&first).await);
        assert_eq!(source.loads.load(Relaxed), 3);
        source.key.store(2, Relaxed);
        current.reload().await.expect("an operator waits for no interval");
        assert_eq!(current.provide_credentials().await.expect("they are there").access_key_id(), "key-2");
    }

    #[test]
    fn rejected_credentials_are_distinguished_from_other_errors() {
        for (status, code) in [(403, "InvalidAccessKeyId"), (400, "ExpiredToken"), (403, ""), (401, "Any")] {
            assert!(rejects_credentials(status, code), "{status} {code}");
        }
        for (status, code) in
            [(403, "RequestTimeTooSkewed"), (404, "NoSuchKey"), (404, ""), (412, "PreconditionFailed")]
        {
            assert!(!rejects_credentials(status, code), "{status} {code}");
        }
    }
}
