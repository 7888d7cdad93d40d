//! The default credential provider chain of AWS, which also has region and endpoint: environment, profiles, web
//! identity, containers, instances.

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::ProfileFileRegionProvider,
};
use aws_credential_types::provider::ProvideCredentials;
use aws_types::service_config::ServiceConfigKey;

use super::{
    credentials::{Credentials, CredentialsProvider},
    http1::{Endpoint, Http1Client},
    sdk_connector::SdkConnector,
};
use crate::BoxError;

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
