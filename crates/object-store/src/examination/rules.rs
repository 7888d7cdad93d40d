//! Check of lifecycle rules: whether one reads back as it was written.

use crate::{
    error::{Error, Result},
    lifecycle::{LifecycleError, Reconciled, WantedRule, WantedRules},
    store::ObjectStore,
};

use super::finding::Outcome;

/// Description of the check.
pub const TRIED: &str = "write a rule for a prefix where nothing is, read it back, and take it away again";

/// A prefix below which no objects ever exist.
const NOTHING: &str = "larder/probe-lifecycle/";

/// Advice for stores without lifecycle rules.
const SWEEP: &str = "keep at least one gateway running: it removes what has expired by itself";

/// Checks that rules read back as they were written.
pub async fn are_kept(objects: &dyn ObjectStore) -> Result<Outcome> {
    let Some(lifecycle) = objects.lifecycle() else {
        return Ok(Outcome::lacks("the object store has no lifecycle rules", SWEEP));
    };
    let rule = WantedRule { prefix: format!("{NOTHING}1/"), days: 1 };
    let mut wanted = WantedRules { root: NOTHING.to_owned(), expirations: vec![rule], upload_days: Some(1) };
    let written = lifecycle.reconcile(&wanted).await;
    let outcome = match written {
        Ok(Reconciled::Unsupported) => return Ok(Outcome::lacks("the object store has no lifecycle rules", SWEEP)),
        Ok(Reconciled::Written | Reconciled::Unchanged) => {
            Outcome::ok("a lifecycle rule came back as it was written, and rules of others stayed as they were")
        }
        Err(LifecycleError::Store(error @ (Error::Timeout | Error::Throttled { .. }))) => return Err(error),
        Err(LifecycleError::Store(error)) => Outcome::wrong(
            Outcome::failed(&error).meaning,
            "let the keys read and write lifecycle rules (s3:GetLifecycleConfiguration, s3:PutLifecycleConfiguration and \
             s3:GetBucketVersioning)",
        ),
        Err(error @ LifecycleError::Unsettled) => {
            Outcome::wrong(error.to_string(), "look which other program writes rules on this bucket, and try again")
        }
        Err(error @ (LifecycleError::Dangerous { .. } | LifecycleError::Unfit(_))) => {
            Outcome::wrong(Outcome::failed(&error).meaning, format!("look at the rules of the bucket, and {SWEEP}"))
        }
    };
    wanted.expirations.clear();
    wanted.upload_days = None;
    match lifecycle.reconcile(&wanted).await {
        Err(LifecycleError::Unfit(_)) | Ok(_) => Ok(outcome),
        Err(error) => Ok(Outcome::wrong(
            format!("a rule for {NOTHING} stays, where it does no harm: {error}"),
            "remove it by hand, or look again",
        )),
    }
}
