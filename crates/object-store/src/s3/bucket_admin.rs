//! The control plane, by the AWS SDK: creates the bucket, and deletes objects in batches.
//!
//! The SDK costs several times the processor time of our own requests. Here it makes a few calls for many objects or
//! for large ones, and its care for every vendor's protocol is worth that.

use std::sync::Arc;

use aws_sdk_s3::{
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata, SdkError},
    types::{BucketLocationConstraint, CreateBucketConfiguration, Delete, ObjectIdentifier},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::{
    credentials::{CurrentCredentials, rejects_credentials},
    error_response::{ErrorContext, ErrorResponse},
    location::{Location, Resolver},
};
use crate::{Error, Result};

/// The control plane of the bucket.
#[derive(Debug)]
pub struct ControlPlane {
    resolver: Arc<Resolver>,
    credentials: Arc<CurrentCredentials>,
    context: Arc<ErrorContext>,
}

impl ControlPlane {
    /// Returns the control plane of the bucket that `resolver` finds.
    pub fn new(resolver: Arc<Resolver>, credentials: Arc<CurrentCredentials>, context: Arc<ErrorContext>) -> Self {
        Self { resolver, credentials, context }
    }

    /// Maps an error of the SDK.
    pub(super) fn map_error<E: std::error::Error + 'static>(&self, error: &SdkError<E, HttpResponse>) -> Error {
        let Some(response) = error.raw_response() else {
            let is_kept_waiting = matches!(error, SdkError::TimeoutError(_))
                || matches!(error, SdkError::DispatchFailure(failure) if failure.is_timeout());
            return if is_kept_waiting {
                Error::Timeout
            } else {
                let endpoint = &self.context.endpoint;
                Error::Unavailable(
                    format!("cannot reach the object store at {endpoint}: {}", error_chain(error)).into(),
                )
            };
        };
        let document = response.body().bytes().unwrap_or_default();
        let status = response.status().as_u16();
        let parsed = ErrorResponse::from_parts(status, |name| response.headers().get(name), document);
        match (parsed.status, parsed.code.as_str()) {
            // A 404 from something other than the object store says nothing about an object.
            (404, "") => Error::Unavailable(parsed.describe(&self.context).into()),
            (200..300, "") => Error::Unavailable(
                format!("cannot read the response of the object store: {}", error_chain(error)).into(),
            ),
            _ => parsed.into_error(&self.context),
        }
    }

    /// Makes a call at the current location of the bucket. Repeats it once if the object store rejected the credentials
    /// and there are new ones.
    pub(super) async fn call<T, E, F>(
        &self,
        call: impl Fn(Arc<Location>) -> F,
    ) -> std::result::Result<T, SdkError<E, HttpResponse>>
    where
        E: ProvideErrorMetadata,
        F: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    {
        let used = self.credentials.get().await.ok();
        let outcome = call(self.resolver.location()).await;
        if let (Some(used), Err(error)) = (used, &outcome)
            && let Some(response) = error.raw_response()
            && rejects_credentials(response.status().as_u16(), error.code().unwrap_or_default())
            && self.credentials.reload_rejected(&used).await
        {
            return call(self.resolver.location()).await;
        }
        outcome
    }

    /// Returns the name of the bucket.
    pub(super) fn bucket(&self) -> &str {
        self.resolver.bucket()
    }

    /// Creates the bucket, unless it exists.
    pub async fn create_bucket(&self) -> Result<()> {
        let is_aws = self.resolver.endpoint().is_none();
        let created = self.call(|location| {
            // AWS requires the name of every region except its first; others reject unknown names.
            let constraint = Some(location.region.as_str()).filter(|region| is_aws && *region != "us-east-1");
            let configuration = constraint.map(|region| {
                let region = BucketLocationConstraint::from(region);
                CreateBucketConfiguration::builder().location_constraint(region).build()
            });
            let request = location.client.create_bucket().bucket(self.bucket());
            request.set_create_bucket_configuration(configuration).send()
        });
        match created.await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => Ok(()),
            Err(error) => Err(self.map_error(&error)),
        }
    }

    /// Deletes up to 1,000 objects.
    pub async fn delete_many(&self, keys: &[String]) -> Result<()> {
        let malformed = |_| Error::Unavailable("cannot build the list of keys to delete".into());
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<std::result::Result<_, _>>().map_err(malformed)?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(malformed)?;
        let done = self.call(|location| {
            let request = location.client.delete_objects().bucket(self.bucket()).delete(delete.clone());
            request.customize().config_override(without_retries()).send()
        });
        let done = done.await.map_err(|error| self.map_error(&error))?;
        match done.errors().iter().find(|error| error.code() != Some("NoSuchKey")) {
            None => Ok(()),
            Some(error) => {
                let (code, words) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
                let (count, context) = (done.errors().len(), &self.context);
                let words = format!("cannot delete {count} objects: {code}: {words} ({context})");
                Err(Error::Unavailable(words.into()))
            }
        }
    }
}

/// Returns a configuration without retries, for calls that are not idempotent. The SDK also retries calls whose outcome
/// is in doubt: then a completion that won the race reports that it lost, and a delete removes later writes.
pub fn without_retries() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled())
}

/// Returns the text of an SDK error, with its causes.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
