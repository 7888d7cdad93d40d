//! From settings to an object store that can be used.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::{
    clock::{AdjustedClock, Clock, Random},
    telemetry::Ledger,
};

use super::{
    super::error::{Error, Result},
    bucket::{Bucket, Powers},
    control::Control,
    credentials::CurrentCredentials,
    options::S3Options,
    sources::{AwsCredentials, AwsSources},
    store::S3Store,
    transport::{BucketSite, Transport},
    wire::{Trust, TrustError, WireClient},
};

/// Why there is no object store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody can be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// There are no keys.
    #[error(
        "there are no keys for the object store; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or one of the other \
         sources that AWS's own tools know"
    )]
    NoCredentials,
    /// The bucket cannot be used.
    #[error("the bucket {bucket} cannot be used")]
    Bucket {
        /// Its name.
        bucket: String,
        /// Why not.
        #[source]
        source: Error,
    },
}

impl S3Store {
    /// Opens the object store with these settings, and makes its bucket if there is none. What it can do is not known
    /// yet: that is for a probe. What `clock` shows is corrected by what the object store says ([`S3Store::clock`]).
    pub async fn open(
        options: S3Options,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> std::result::Result<Self, OpenError> {
        Self::open_charging(options, clock, random, Arc::default()).await
    }

    /// The same, and whatever is sent to the object store is charged in `ledger`.
    pub async fn open_charging(
        options: S3Options,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        ledger: Arc<Ledger>,
    ) -> std::result::Result<Self, OpenError> {
        let trust = Trust::load(options.ca_file.as_deref())?;
        let proxies = Arc::clone(&options.proxies);
        let wire = Arc::new(WireClient::new(options.timeouts.clone(), trust, proxies, Arc::clone(&clock), ledger));
        let sources = AwsSources::load(&wire, options.region.clone(), options.endpoint.is_some()).await;
        let provider = sources.credentials().ok_or(OpenError::NoCredentials)?;
        let credentials = CurrentCredentials::new(Arc::new(AwsCredentials(provider)), Arc::clone(&clock));
        credentials.get().await.map_err(|_| OpenError::NoCredentials)?;
        let site = BucketSite {
            bucket: options.bucket.clone(),
            endpoint: options.endpoint.clone(),
            region: sources.region(),
            style: options.style,
        };
        let clock = Arc::new(AdjustedClock::new(clock));
        let control = Control::new(&sources, &wire, &site, Arc::clone(&clock));
        let patience = options.timeouts.answer;
        let transport = Transport::new(wire, site, credentials, clock, random, patience);
        let (powers, tasks) = (Powers::default(), TaskTracker::new());
        let bucket = Arc::new(Bucket { options, transport, control, tasks, powers });
        let store = Self::new(bucket);
        store.make_sure_of_bucket().await?;
        Ok(store)
    }

    async fn make_sure_of_bucket(&self) -> std::result::Result<(), OpenError> {
        let bucket = self.bucket();
        let name = || bucket.transport.bucket().to_owned();
        let refuse = |source: Error| OpenError::Bucket { bucket: name(), source };
        if !self.bucket_is_there().await.map_err(refuse)? {
            bucket.control.create_bucket().await.map_err(refuse)?;
            tracing::info!(bucket = name(), "made the bucket");
        }
        Ok(())
    }

    async fn bucket_is_there(&self) -> Result<bool> {
        let request = super::request::Request::new("HEAD", None);
        match self.bucket().transport.send(request, super::transport::Effect::Reads).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
