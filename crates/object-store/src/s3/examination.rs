//! Checks for buckets only.

use crate::{
    error::Result,
    examination::{Conditions, Outcome, PROBES},
};
use larder_runtime::clock::Random;

use super::{lifecycle::keeps_versions, store::S3Store};

impl S3Store {
    /// Description of the check of codings.
    pub const CODINGS: &str = "store records in gzip and Brotli, and read them";

    /// Description of the check of old versions.
    pub const VERSIONS: &str = "ask whether the bucket keeps old versions of its objects";

    /// Detects again which conditions hold, and applies the result and the settings.
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

    /// Checks that records with a coding come back as they were stored.
    pub async fn examine_codings(&self, random: &dyn Random) -> Result<Outcome> {
        let own = random.characters(b"abcdefghijklmnopqrstuvwxyz0123456789", 16);
        let folder = format!("{PROBES}{}/", String::from_utf8_lossy(&own));
        let is_kept = self.keeps_codings(&folder).await?;
        let advice = "let the proxy before the object store decode nothing (nginx: gunzip off), or go round it";
        Ok(match (is_kept, self.bucket().decoding.is_noted()) {
            (true, false) => Outcome::ok("records in gzip and Brotli come back as they were stored"),
            (true, true) => Outcome::lacks(
                "something between the gateway and the object store decodes records; they come back as they were stored when their \
                 coding is asked for, so that each read of such a record takes two requests",
                advice,
            ),
            (false, _) => Outcome::wrong(
                "something between the gateway and the object store decodes records, or drops their Content-Encoding: writes of \
                 records with one are refused",
                advice,
            ),
        })
    }

    /// Checks whether the bucket keeps old versions.
    pub async fn examine_versions(&self) -> Result<Outcome> {
        Ok(if keeps_versions(self.bucket()).await? {
            Outcome::lacks(
                "the bucket keeps old versions, or once did: everything that is replaced or deleted goes on taking space, but for \
                 records that expire, whose old versions a rule removes",
                "use a bucket that has never had versioning, or set a rule of your own that removes old versions below larder/",
            )
        } else {
            Outcome::ok("the bucket keeps no old versions: what is deleted takes no more space")
        })
    }
}
