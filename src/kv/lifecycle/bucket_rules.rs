//! Lifecycle rules for the records of unnamed stores: one per class, all present from the start, so creating a store
//! never writes one.
//!
//! Two canary objects reveal what lifecycle rules really do. One is where records expire, and must be deleted; the
//! other is where records are permanent, and must stay.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, Timestamp},
    kv::{model::retention::LifecycleClass, persist::object_keys},
    storage::{
        Attributes, ByteStream, Error, GetOptions, LifecycleError, ObjectStore, PutOptions, Reconciled, Result,
        WantedRule, WantedRules,
        diagnostics::{CheckResult, Outcome},
    },
};

/// Days after which an incomplete upload is aborted: longer than any upload takes.
const UPLOAD_DAYS: u16 = 7;

/// The lifecycle rules of a backend.
///
/// A rule deletes everything below its prefix after its number of days. So a live store's only records never stay
/// there that long: before, they are relocated to another generation, or out of the prefix
/// (`LifecyclePolicy::required_relocation`).
/// Backends without rules keep all records outside these prefixes, so the rules may be written as soon as an
/// installation has been migrated.
///
/// Only a gateway that may write documents reconciles them.
#[derive(Debug)]
pub struct LifecycleRules {
    objects: Arc<dyn ObjectStore>,
}

impl LifecycleRules {
    /// Returns the rules of the bucket behind `objects`.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects }
    }

    /// Reconciles the rules. A backend without rules relies on the sweep alone.
    pub async fn reconcile(&self) -> Result<Reconciled, LifecycleError> {
        match self.objects.lifecycle() {
            Some(lifecycle) => lifecycle.reconcile(&wanted_rules()).await,
            None => Ok(Reconciled::Unsupported),
        }
    }
}

/// Returns the rules that all stores together need.
fn wanted_rules() -> WantedRules {
    let rule = |class: LifecycleClass| WantedRule { prefix: object_keys::class(class), days: class.days() };
    WantedRules {
        root: object_keys::root().to_owned(),
        expirations: LifecycleClass::ALL.map(rule).into(),
        upload_days: Some(UPLOAD_DAYS),
    }
}

/// A day.
const DAY: Duration = Duration::from_hours(24);

/// Time before its due time at which an object may already be deleted: vendors count in dates, some by local time.
const DATE_GRANULARITY: Duration = DAY;

/// Time after its due time for which an object may still be there: background scans of a bucket take days.
const SCAN_DELAY_TOLERANCE: Duration = DAY.saturating_mul(4);

/// Maximum size in bytes of the record of the canaries.
const MAX_WRITE_TIMES_BYTES: u64 = 4096;

/// Descriptions of the checks.
const DESCRIPTIONS: [&str; 2] = [
    "an object below an expiring prefix: its lifecycle rule must delete it",
    "an object below the permanent prefix: no lifecycle rule may delete it",
];

/// Times at which the canaries were written; a deleted object no longer shows its own.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WriteTimes {
    expiring: Option<Timestamp>,
    permanent: Option<Timestamp>,
}

/// The canaries of a bucket.
#[derive(Debug, Clone, Copy)]
pub struct Canaries<'a> {
    /// The object store.
    pub objects: &'a dyn ObjectStore,
    /// The time.
    pub clock: &'a dyn Clock,
    /// True if the bucket supports rules at all; if not, the expiring canary is not written.
    pub has_rules: bool,
}

impl Canaries<'_> {
    /// Reports the state of the canaries, and writes the missing ones.
    pub async fn check(self) -> Result<Vec<CheckResult>> {
        let class = LifecycleClass::ALL[0];
        let mut write_times = self.read_write_times().await?;
        let mut results = Vec::new();
        if self.has_rules {
            let state = self.observe(&object_keys::expiring_canary(class), &mut write_times.expiring).await?;
            let outcome = expiring_outcome(state, DAY * u32::from(class.days()));
            results.push(CheckResult { check: "expiring canary", description: DESCRIPTIONS[0], outcome });
        }
        let state = self.observe(&object_keys::permanent_canary(), &mut write_times.permanent).await?;
        results.push(CheckResult {
            check: "permanent canary",
            description: DESCRIPTIONS[1],
            outcome: permanent_outcome(state),
        });
        let text = serde_json::to_vec(&write_times).map_err(|error| Error::Unavailable(error.into()))?;
        self.write(&object_keys::canaries(), text).await?;
        Ok(results)
    }

    async fn read_write_times(self) -> Result<WriteTimes> {
        let object = match self.objects.get(&object_keys::canaries(), GetOptions::default()).await {
            Ok(object) => object,
            Err(Error::NotFound) => return Ok(WriteTimes::default()),
            Err(error) => return Err(error),
        };
        let bytes = object.body.into_bytes(MAX_WRITE_TIMES_BYTES).await.map_err(Error::Body)?;
        // A damaged record is dropped: it is rewritten below.
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn observe(self, key: &str, written_at: &mut Option<Timestamp>) -> Result<CanaryState> {
        let now = self.clock.now();
        match self.objects.head(key).await {
            Ok(meta) => {
                *written_at = Some(meta.last_modified);
                Ok(CanaryState::Present { age: now.since(meta.last_modified) })
            }
            Err(Error::NotFound) => {
                let age = written_at.map(|at| now.since(at));
                let text = b"Larder watches what becomes of this object (`larder doctor`). It may be deleted.\n";
                *written_at = Some(self.write(key, text.to_vec()).await?);
                Ok(age.map_or(CanaryState::New, |age| CanaryState::Gone { age }))
            }
            Err(error) => Err(error),
        }
    }

    async fn write(self, key: &str, text: Vec<u8>) -> Result<Timestamp> {
        let attributes = Attributes { content_type: "text/plain; charset=utf-8".to_owned(), content_encoding: None };
        let options = PutOptions { attributes, ..PutOptions::default() };
        Ok(self.objects.put(key, ByteStream::from(Bytes::from(text)), options).await?.last_modified)
    }
}

/// State of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CanaryState {
    /// It was never written before.
    New,
    /// It exists.
    Present {
        /// Its age.
        age: Duration,
    },
    /// It existed and is gone.
    Gone {
        /// Time since it was written.
        age: Duration,
    },
}

fn expiring_outcome(state: CanaryState, due: Duration) -> Outcome {
    match state {
        CanaryState::New => Outcome::pass(format!("written now; its rule is due in {}", days(due))),
        CanaryState::Present { age } if age < due => {
            let left = days(due.saturating_sub(age));
            Outcome::pass(format!("written {} ago, its rule is due in {left}, still there: fine", days(age)))
        }
        CanaryState::Present { age } if age <= due + SCAN_DELAY_TOLERANCE => Outcome::pass(format!(
            "written {} ago, its rule was due {} ago, still there: object stores take their time",
            days(age),
            days(age.saturating_sub(due))
        )),
        CanaryState::Present { age } => Outcome::fail(
            format!(
                "written {} ago, its rule was due {} ago, still there: lifecycle rules do not run",
                days(age),
                days(age.saturating_sub(due))
            ),
            "check that a gateway has set its rules here, and that the object store runs them; until then keep a gateway \
             running: it deletes expired records itself",
        ),
        CanaryState::Gone { age } if age + DATE_GRANULARITY < due => Outcome::fail(
            format!(
                "written {} ago, deleted before its time: records of unnamed stores may be deleted too early",
                days(age)
            ),
            "find the other lifecycle rule or program that deletes below larder/expiring/; the canary was written again",
        ),
        CanaryState::Gone { age } => {
            Outcome::pass(format!("written {} ago, deleted by its rule; written again", days(age)))
        }
    }
}

fn permanent_outcome(state: CanaryState) -> Outcome {
    match state {
        CanaryState::New => Outcome::pass("written now"),
        CanaryState::Present { age } => Outcome::pass(format!("written {} ago, still there: fine", days(age))),
        CanaryState::Gone { age } => Outcome::fail(
            format!("written {} ago, gone: a lifecycle rule deletes permanent records", days(age)),
            "remove at once every lifecycle rule of this bucket that is not limited to a prefix of its own, and find the \
             program that deletes below larder/permanent/; the canary was written again",
        ),
    }
}

/// Formats a duration in words.
fn days(time: Duration) -> String {
    match time.as_secs() / DAY.as_secs() {
        0 => format!("{} hours", time.as_secs() / 3600),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        clock::{ManualClock, SeededRandom, Timestamp},
        kv::{
            model::ids::StoreId,
            persist::{object_keys, store_metadata::Location},
        },
        storage::{Precondition, diagnostics::Status, in_memory::InMemoryStore},
    };

    use super::*;

    #[test]
    fn each_class_has_a_rule_over_its_records_and_no_permanent_record_is_under_one() {
        let wanted = wanted_rules();
        let id = StoreId::generate(&SeededRandom::new(1));
        let location = |class| Location { class, generation: "1".to_owned(), created_at: Timestamp::from_millis(0) };
        for class in LifecycleClass::ALL {
            let records = object_keys::records(&id, &location(Some(class)));
            let over: Vec<_> = wanted.expirations.iter().filter(|rule| records.starts_with(&rule.prefix)).collect();
            assert!(matches!(over[..], [rule] if rule.days == class.days() && rule.prefix.ends_with('/')), "{over:?}");
        }
        let kept = [object_keys::records(&id, &location(None)), object_keys::document(&id), object_keys::due_items()];
        for key in kept {
            assert!(
                key.starts_with(&wanted.root) && wanted.expirations.iter().all(|rule| !key.starts_with(&rule.prefix))
            );
        }
    }

    struct Bucket {
        clock: Arc<ManualClock>,
        objects: InMemoryStore,
    }

    impl Bucket {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_767_225_600_000)));
            Self { objects: InMemoryStore::new(clock.clone()), clock }
        }

        async fn check(&self) -> [(Status, String); 2] {
            let canaries = Canaries { objects: &self.objects, clock: self.clock.as_ref(), has_rules: true };
            let results = canaries.check().await.expect("memory works");
            let [passing, kept] = results.try_into().expect("two of them");
            [passing, kept].map(|result: CheckResult| (result.outcome.status, result.outcome.message))
        }

        fn days_pass(&self, days: u32) {
            self.clock.advance(DAY * days);
        }

        async fn remove(&self, key: &str) {
            self.objects.delete(key, Precondition::None).await.expect("memory works");
        }
    }

    #[tokio::test]
    async fn canaries_are_waited_for_and_their_fate_is_told() {
        let bucket = Bucket::new();
        assert!(
            bucket.check().await.iter().all(|(status, said)| *status == Status::Pass && said.contains("written now"))
        );
        bucket.days_pass(3);
        let [passing, kept] = bucket.check().await;
        assert_eq!(passing.1, "written 3 days ago, its rule is due in 2 days, still there: fine");
        assert_eq!(kept.1, "written 3 days ago, still there: fine");
        bucket.days_pass(3);
        bucket.remove(&object_keys::expiring_canary(LifecycleClass::ALL[0])).await;
        let [passing, _] = bucket.check().await;
        assert!(passing.0 == Status::Pass && passing.1.contains("deleted by its rule"), "{passing:?}");
        let [passing, _] = bucket.check().await;
        assert!(passing.1.contains("due in 5 days"), "{passing:?}");
    }

    #[tokio::test]
    async fn a_permanent_canary_that_is_gone_is_an_alarm() {
        let bucket = Bucket::new();
        bucket.check().await;
        bucket.days_pass(1);
        bucket.remove(&object_keys::permanent_canary()).await;
        let [passing, kept] = bucket.check().await;
        assert_eq!((passing.0, kept.0), (Status::Pass, Status::Fail));
        assert!(kept.1.contains("deletes permanent records"), "{kept:?}");
        assert_eq!(bucket.check().await[1].0, Status::Pass, "it was written again");
    }

    #[tokio::test]
    async fn an_expiring_canary_that_goes_early_or_never_is_an_alarm() {
        let bucket = Bucket::new();
        bucket.check().await;
        bucket.days_pass(6);
        assert_eq!(bucket.check().await[0].0, Status::Pass, "object stores take their time");
        bucket.days_pass(4);
        let [late, _] = bucket.check().await;
        assert!(late.0 == Status::Fail && late.1.contains("do not run"), "{late:?}");
        bucket.remove(&object_keys::expiring_canary(LifecycleClass::ALL[0])).await;
        bucket.check().await;
        bucket.days_pass(2);
        bucket.remove(&object_keys::expiring_canary(LifecycleClass::ALL[0])).await;
        let [early, _] = bucket.check().await;
        assert!(early.0 == Status::Fail && early.1.contains("before its time"), "{early:?}");
    }
}
