//! What an examination asks of a bucket alone.

use crate::{
    clock::Random,
    storage::{
        error::Result,
        examination::{Conditions, Outcome},
    },
};

use super::{lifecycle::keeps_versions, store::S3Store};

impl S3Store {
    /// What is tried of old versions.
    pub const VERSIONS: &str = "ask whether the bucket keeps old versions of its objects";

    /// Finds out anew which conditions hold, and goes by that and by what is set.
    pub async fn find_conditions(&self, random: &dyn Random) -> Result<Conditions> {
        let found = self.find_out_anew(random).await?;
        self.go_by(&self.overruled(&found));
        Ok(Conditions {
            of_writes: found.conditional_writes,
            of_deletes: found.conditional_deletes,
            of_completions: found.conditional_completions,
            quoted: found.quoted_validators,
            set: self.bucket().options.conditional_writes,
        })
    }

    /// Whether the bucket keeps old versions, and what that means.
    pub async fn examine_versions(&self) -> Result<Outcome> {
        Ok(if keeps_versions(self.bucket()).await? {
            Outcome::lacks(
                "it keeps old versions, or once did: everything that is replaced or deleted goes on taking space, but for \
                 records that expire, whose old versions a rule removes",
                "use a bucket that has never had versioning, or set a rule of your own that removes old versions below larder/",
            )
        } else {
            Outcome::ok("it does not")
        })
    }
}
