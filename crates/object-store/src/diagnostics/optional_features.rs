//! Checks of features that a store may lack: conditional writes, which decide whether it needs a single writer, and
//! lifecycle rules.

use crate::{
    conditional_write_probe::ConditionalWriteProbe,
    error::{Error, Result},
    lifecycle::{LifecycleError, Reconciled, WantedRule, WantedRules},
    store::ObjectStore,
};

use super::check_runner::Outcome;

/// Description of the check.
pub const CONDITIONS_DESCRIPTION: &str =
    "If-None-Match and If-Match: absent, current and stale ones, and 16 writers at once";

/// Advice for stores without conditional writes.
const LEADER: &str = "set LARDER_LEADER=self on exactly one gateway and its http:// origin on all others, and the same \
                      LARDER_SECRET and LARDER_TOKEN on all";

/// The conditions that an object store honours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub struct Conditions {
    /// Those of puts, including under contention.
    pub of_writes: bool,
    /// Those of deletes.
    pub of_deletes: bool,
    /// Those of completing a multipart upload.
    pub of_completions: bool,
    /// True if validators are in quotes.
    pub quoted: bool,
    /// The value of the setting, which overrides the findings.
    pub set: Option<bool>,
}

impl Conditions {
    /// Returns whether gateways may rely on conditional writes.
    pub fn are_relied_on(self) -> bool {
        self.set.unwrap_or(self.of_writes)
    }

    /// Returns the outcome of the check.
    pub fn outcome(self) -> Outcome {
        let Self { of_writes, of_deletes, of_completions, quoted, set } = self;
        match (of_writes, set) {
            (false, Some(true)) => {
                return Outcome::wrong(
                    "LARDER_S3_CONDITIONAL_WRITES says yes, but the object store ignores conditions: two gateways can overwrite each other",
                    format!("leave the setting out, and {LEADER}"),
                );
            }
            (false, None | Some(false)) => {
                return Outcome::lacks(
                    "the object store ignores conditions: one gateway alone, the leader, makes the writes that need them",
                    LEADER,
                );
            }
            (true, Some(false)) => {
                return Outcome::lacks(
                    "conditions hold on this node of the object store, but LARDER_S3_CONDITIONAL_WRITES says no",
                    LEADER,
                );
            }
            (true, None | Some(true)) => {}
        }
        let mut meaning =
            "conditions hold, also when many write at once: any number of gateways can share it".to_owned();
        if !quoted {
            meaning.push_str("; validators are sent without quotes, which this one wants");
        }
        let missing = [(of_deletes, "of deletes"), (of_completions, "on completing a multipart upload")];
        let missing: Vec<_> = missing.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what).collect();
        if missing.is_empty() {
            return Outcome::ok(meaning);
        }
        let meaning = format!("{meaning}; conditions {} do not hold", missing.join(" and "));
        Outcome::lacks(meaning, "nothing: what needs them is answered 400, or done in another way")
    }
}

/// Detects the conditions that hold.
pub async fn find_out(objects: &dyn ObjectStore, folder: &str) -> Result<Conditions> {
    let probe = ConditionalWriteProbe { objects };
    let of_writes = probe.honours_preconditions(&format!("{folder}condition")).await?
        && probe.honours_under_contention(folder).await?;
    let of_deletes = of_writes && probe.honours_delete_preconditions(&format!("{folder}deleted")).await?;
    Ok(Conditions { of_writes, of_deletes, of_completions: of_writes, quoted: true, set: None })
}

/// Description of the check.
pub const RULES_DESCRIPTION: &str = "write a rule for a prefix where nothing is, read it back, and take it away again";

/// A prefix below which no objects ever exist.
const NOTHING: &str = "larder/probe-lifecycle/";

/// Advice for stores without lifecycle rules.
const SWEEP: &str = "keep at least one gateway running: it removes what has expired by itself";

/// Checks that rules read back as they were written.
pub async fn are_kept_rules(objects: &dyn ObjectStore) -> Result<Outcome> {
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
