//! Checks of conditional writes, which decide whether the store needs a single writer.

use crate::{conditions::Trial, error::Result, store::ObjectStore};

use super::finding::Outcome;

/// Description of the check.
pub const TRIED: &str = "If-None-Match and If-Match: absent, current and stale ones, and 16 writers at once";

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
        let missing = [(of_deletes, "of deletes"), (of_completions, "on completing an upload in parts")];
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
    let trial = Trial { objects };
    let of_writes =
        trial.keeps_conditions(&format!("{folder}condition")).await? && trial.survives_races(folder).await?;
    let of_deletes = of_writes && trial.keeps_conditions_of_deletes(&format!("{folder}deleted")).await?;
    Ok(Conditions { of_writes, of_deletes, of_completions: of_writes, quoted: true, set: None })
}
