//! The usual AWS sources of keys and region: environment, profiles, web identity, containers, instances.

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::ProfileFileRegionProvider,
};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use super::{
    super::cause::BoxError,
    connector::WireConnector,
    credentials::{Credentials, CredentialsSource},
    wire::WireClient,
};

/// The region where nothing says another: what servers other than AWS's expect.
const DEFAULT_REGION: &str = "us-east-1";

/// What the usual sources say.
#[derive(Debug)]
pub struct AwsSources {
    config: SdkConfig,
}

impl AwsSources {
    /// Looks at the usual sources; `region` goes before theirs. Before a server that is not AWS's (`is_elsewhere`) no instance is asked for
    /// its region: where there is none to answer, that takes seconds, and the SDK warns of it.
    pub async fn load(wire: &Arc<WireClient>, region: Option<String>, is_elsewhere: bool) -> Self {
        let loader =
            aws_config::defaults(BehaviorVersion::latest()).http_client(WireConnector::to_sources(Arc::clone(wire)));
        let loader = match region {
            Some(region) => loader.region(Region::new(region)),
            None if is_elsewhere => {
                let said = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new());
                loader.region(said.or_else(ProfileFileRegionProvider::new()).or_else(Region::new(DEFAULT_REGION)))
            }
            None => loader,
        };
        Self { config: loader.load().await }
    }

    /// The region.
    pub fn region(&self) -> String {
        self.config.region().map_or(DEFAULT_REGION, Region::as_ref).to_owned()
    }

    /// Where keys come from.
    pub fn credentials(&self) -> Option<SharedCredentialsProvider> {
        self.config.credentials_provider()
    }

    /// Everything the SDK wants to know.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }
}

/// Keys from the usual sources.
#[derive(Debug)]
pub struct AwsCredentials(pub SharedCredentialsProvider);

#[async_trait]
impl CredentialsSource for AwsCredentials {
    async fn load(&self) -> Result<Credentials, BoxError> {
        let found = self.0.provide_credentials().await?;
        Ok(Credentials::new(
            found.access_key_id().to_owned(),
            found.secret_access_key().to_owned(),
            found.session_token().map(str::to_owned),
            found.expiry().map(Into::into),
        ))
    }
}
