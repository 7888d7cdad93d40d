//! Lifecycle rules at vendors that each change them in another way, played by the mock.

use std::sync::Arc;

use larder::{
    clock::{SystemClock, SystemRandom},
    jobs::{Job, LifecycleRulesJob},
    kv::LifecycleRules,
    storage::{
        LifecycleError, ObjectStore, Precondition, Reconciled, UnfitRules, WantedRule, WantedRules,
        diagnostics::{CheckRunner, Conditions, Status},
        metrics_layer::MetricsLayer,
        s3::{S3Options, S3Store},
        single_writer::SingleWriterStore,
    },
};
use larder_test_kit::{fault_injection::FaultInjector, no_conditional_writes::NoConditionalWrites};

use crate::{
    behind_proxy::{TIMEOUTS, put},
    mock_minio::{Deviations, MockMinio, OTHERS, RuleWays},
};

const BUCKET: &str = "larder-tests";

/// A foreign document, in a form that differs from any rewritten one.
const FOREIGN: &str = "<?xml version='1.0'?>\n<LifecycleConfiguration  xmlns = \"x\">\n\t<!-- mine -->\
    <Rule>\n<Filter><And><Prefix>a&amp;b/</Prefix><Tag><Key> k</Key><Value>v </Value></Tag></And></Filter >\
    <ID>theirs</ID><Status>Enabled</Status><Expiration><Days>3</Days></Expiration><Unheard of=\"1\"/></Rule>\
    </LifecycleConfiguration>\n";

pub(crate) fn options(minio: &MockMinio, prefix: &str) -> S3Options {
    S3Options {
        endpoint: Some(minio.endpoint().parse().expect("an origin")),
        region: Some("us-east-1".to_owned()),
        prefix: prefix.to_owned(),
        timeouts: TIMEOUTS,
        ..S3Options::new(BUCKET)
    }
}

async fn open(minio: &MockMinio, prefix: &str) -> S3Store {
    S3Store::open(options(minio, prefix), Arc::new(SystemClock), Arc::new(SystemRandom))
        .await
        .expect("the bucket is made")
}

fn wanted(days: &[u16]) -> WantedRules {
    let rule = |days: &u16| WantedRule { prefix: format!("larder/expiring/{days}/"), days: *days };
    let expirations = days.iter().map(rule).collect();
    WantedRules { root: "larder/".to_owned(), expirations, upload_days: Some(7) }
}

async fn reconcile(store: &S3Store, days: &[u16]) -> Result<Reconciled, LifecycleError> {
    store.lifecycle().expect("it may have rules").reconcile(&wanted(days)).await
}

/// Applies rules at a vendor with these deviations, with a foreign document there or not.
async fn over(
    deviations: Deviations,
    foreign: Option<&str>,
) -> (MockMinio, S3Store, Result<Reconciled, LifecycleError>) {
    let minio = MockMinio::start(deviations).await;
    if let Some(foreign) = foreign {
        minio.set_rules(BUCKET, foreign);
    }
    let store = open(&minio, "root/").await;
    let outcome = reconcile(&store, &[5, 23]).await;
    (minio, store, outcome)
}

#[tokio::test]
async fn foreign_rules_stay_byte_for_byte_as_they_are() {
    let (minio, store, outcome) = over(Deviations::default(), Some(FOREIGN)).await;
    assert_eq!(outcome.unwrap(), Reconciled::Written);
    let rules = minio.rules(BUCKET).expect("there are rules");
    let (before, after) = FOREIGN.split_once("</LifecycleConfiguration>").expect("an end");
    assert!(rules.starts_with(before) && rules.ends_with(&format!("</LifecycleConfiguration>{after}")), "{rules}");
    assert_eq!(rules.matches("<Rule>").count(), 4);
    assert!(rules.contains("<Prefix>root/larder/expiring/23/</Prefix>"));
    assert_eq!(reconcile(&store, &[5, 23]).await.unwrap(), Reconciled::Unchanged);
    assert_eq!(reconcile(&store, &[]).await.unwrap(), Reconciled::Written);
    let other = open(&minio, "other/").await;
    assert_eq!(reconcile(&other, &[5]).await.unwrap(), Reconciled::Written);
    let both = minio.rules(BUCKET).expect("there are rules");
    assert_eq!(reconcile(&store, &[]).await.unwrap(), Reconciled::Unchanged);
    assert_eq!(minio.rules(BUCKET), Some(both));
}

#[tokio::test]
async fn rules_that_a_vendor_writes_anew_are_the_same_rules() {
    let (minio, store, outcome) =
        over(Deviations { rules: RuleWays::WrittenAnew, ..Deviations::default() }, Some(OTHERS)).await;
    assert_eq!(outcome.unwrap(), Reconciled::Written);
    let rules = minio.rules(BUCKET);
    assert_eq!(reconcile(&store, &[5, 23]).await.unwrap(), Reconciled::Unchanged);
    assert_eq!(minio.rules(BUCKET), rules);
}

#[tokio::test]
async fn a_rule_that_lost_its_prefix_is_taken_back_at_once_and_never_tried_again() {
    // The rule of others has no prefix to lose.
    let foreign = OTHERS.replace("<Filter><Prefix>o/</Prefix></Filter>", "<Filter><Tag><Key>k</Key></Tag></Filter>");
    let deviations = Deviations { rules: RuleWays::WithoutPrefix, ..Deviations::default() };
    let (minio, store, outcome) = over(deviations, Some(&foreign)).await;
    assert!(matches!(outcome, Err(LifecycleError::Unfit(UnfitRules::FilterLost { .. }))), "{outcome:?}");
    assert_eq!(minio.rules(BUCKET).as_deref(), Some(foreign.as_str()));
    minio.deviate(|deviations| deviations.rules = RuleWays::Kept);
    let again = reconcile(&store, &[5]).await;
    assert!(matches!(again, Err(LifecycleError::Unfit(UnfitRules::FilterLost { .. }))), "{again:?}");
    assert_eq!(minio.rules(BUCKET).as_deref(), Some(foreign.as_str()));
    assert_eq!(reconcile(&open(&minio, "root/").await, &[5]).await.unwrap(), Reconciled::Written, "after a restart");
}

#[tokio::test]
async fn where_even_what_was_there_loses_its_prefix_no_rule_stays() {
    let (minio, _, outcome) = over(Deviations::default(), Some(OTHERS)).await;
    outcome.unwrap();
    minio.deviate(|deviations| deviations.rules = RuleWays::WithoutPrefix);
    let outcome = reconcile(&open(&minio, "root/").await, &[5, 23, 92]).await;
    assert!(matches!(outcome, Err(LifecycleError::Unfit(UnfitRules::FilterLost { .. }))), "{outcome:?}");
    assert_eq!(minio.rules(BUCKET), None);
}

#[tokio::test]
async fn a_configuration_of_nothing_but_lost_rules_is_deleted() {
    let (minio, _, outcome) = over(Deviations { rules: RuleWays::WithoutPrefix, ..Deviations::default() }, None).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, LifecycleError::Unfit(UnfitRules::FilterLost { .. })), "{error}");
    assert_eq!(minio.rules(BUCKET), None);
}

#[tokio::test]
async fn a_rule_of_ours_that_is_found_without_its_prefix_is_removed() {
    let (minio, _, outcome) = over(Deviations::default(), Some(FOREIGN)).await;
    outcome.unwrap();
    let standing = minio.rules(BUCKET).expect("there are rules");
    // By the same installation, and by another one.
    for prefix in ["root/", "other/"] {
        minio.set_rules(BUCKET, &standing.replace("<Prefix>root/larder/expiring/5/</Prefix>", ""));
        let outcome = reconcile(&open(&minio, prefix).await, &[5, 23]).await;
        assert!(matches!(outcome, Err(LifecycleError::Unfit(UnfitRules::FilterLost { .. }))), "{outcome:?}");
        let rules = minio.rules(BUCKET).expect("there are rules");
        assert_eq!(rules.matches("<Rule>").count(), 3);
        assert!(rules.contains("theirs") && !rules.contains("<Filter></Filter>"), "{rules}");
    }
}

#[tokio::test]
async fn a_rule_of_another_one_that_loses_its_limits_removes_nothing() {
    let deviations = Deviations { rules: RuleWays::WithoutTags, ..Deviations::default() };
    // Put back, it loses its tag again, which only the absence of all rules makes harmless.
    let (minio, _, outcome) = over(deviations, Some(FOREIGN)).await;
    assert!(matches!(outcome, Err(LifecycleError::Unfit(UnfitRules::FilterLost { rule })) if rule == "theirs"));
    assert_eq!(minio.rules(BUCKET), None);
}

#[tokio::test]
async fn other_days_are_taken_back() {
    let deviations = Deviations { rules: RuleWays::WithOtherDays, ..Deviations::default() };
    let (minio, _, outcome) = over(deviations, None).await;
    assert!(matches!(outcome, Err(LifecycleError::Unfit(UnfitRules::Altered { .. }))), "{outcome:?}");
    assert_eq!(minio.rules(BUCKET), None);
}

#[tokio::test]
async fn foreign_changes_of_our_rules_are_left_alone() {
    let deviations = Deviations { rules: RuleWays::OverwrittenByOthers, ..Deviations::default() };
    let (minio, store, outcome) = over(deviations, None).await;
    assert!(matches!(outcome, Err(LifecycleError::Unsettled)), "{outcome:?}");
    assert_eq!(minio.rules(BUCKET).as_deref(), Some(OTHERS));
    minio.deviate(|deviations| deviations.rules = RuleWays::Kept);
    assert_eq!(reconcile(&store, &[5]).await.unwrap(), Reconciled::Written);
}

#[tokio::test]
async fn a_vendor_without_rules_is_no_error() {
    let (_minio, store, outcome) = over(Deviations { rules: RuleWays::Missing, ..Deviations::default() }, None).await;
    assert_eq!(outcome.unwrap(), Reconciled::Unsupported);
    assert_eq!(LifecycleRules::new(Arc::new(store)).reconcile().await.unwrap(), Reconciled::Unsupported);
}

#[tokio::test]
async fn old_versions_are_removed_by_a_rule_or_the_bucket_is_refused() {
    for status in ["Enabled", "Suspended"] {
        let versioned = Deviations { versioning: Some(status), ..Deviations::default() };
        let (minio, store, outcome) = over(versioned, None).await;
        assert_eq!(outcome.unwrap(), Reconciled::Written);
        let rules = minio.rules(BUCKET).expect("there are rules");
        assert_eq!(rules.matches("<NoncurrentDays>1</NoncurrentDays>").count(), 2, "{rules}");
        minio.deviate(|deviations| deviations.versioning = None);
        assert_eq!(reconcile(&store, &[5, 23]).await.unwrap(), Reconciled::Written);
        assert!(!minio.rules(BUCKET).expect("there are rules").contains("Noncurrent"));

        let lost = Deviations { rules: RuleWays::WithoutOldVersions, ..versioned };
        let (minio, _, outcome) = over(lost, None).await;
        assert!(matches!(outcome, Err(LifecycleError::Unfit(UnfitRules::VersionsStay { .. }))), "{outcome:?}");
        assert_eq!(minio.rules(BUCKET), None);
    }
}

#[tokio::test]
async fn a_rule_stays_as_long_as_there_are_objects_under_it() {
    let (minio, store, outcome) = over(Deviations::default(), Some(OTHERS)).await;
    outcome.unwrap();
    put(&store, "larder/expiring/23/id/g/k", b"value", Precondition::None).await.unwrap();
    assert_eq!(reconcile(&store, &[]).await.unwrap(), Reconciled::Written);
    let rules = minio.rules(BUCKET).expect("there are rules");
    assert!(rules.contains("expiring/23/") && !rules.contains("expiring/5/"), "{rules}");
    assert_eq!(reconcile(&store, &[]).await.unwrap(), Reconciled::Unchanged);
    store.delete("larder/expiring/23/id/g/k", Precondition::None).await.unwrap();
    assert_eq!(reconcile(&store, &[]).await.unwrap(), Reconciled::Written);
    assert!(!minio.rules(BUCKET).expect("there are rules").contains("expiring/"));
}

#[tokio::test]
async fn diagnostics_report_what_happens_to_rules_and_leave_none() {
    for (rules, status, said) in [
        (RuleWays::Kept, Status::Pass, "as it was written"),
        (RuleWays::Missing, Status::Degraded, "has no lifecycle rules"),
        (RuleWays::WithoutPrefix, Status::Fail, "dropped the filter"),
    ] {
        let minio =
            MockMinio::start(Deviations { rules, versioning: Some("Suspended"), ..Deviations::default() }).await;
        let store = open(&minio, "root/").await;
        let mut runner = CheckRunner::new(&store, &SystemClock, &SystemRandom);
        let conditions = runner.check_conditions(Box::pin(store.detect_conditions(&SystemRandom))).await;
        assert!(conditions.is_some_and(Conditions::are_relied_on));
        runner.run_all().await;
        assert_eq!(store.check_versioning().await.unwrap().status, Status::Degraded);
        let results = runner.finish().await;
        let found = results.iter().find(|result| result.check == "lifecycle rules").expect("it is looked at");
        assert!(found.outcome.status == status && found.outcome.message.contains(said), "{rules:?}: {found:?}");
        assert_eq!((minio.rules(BUCKET), minio.keys(BUCKET)), (None, Vec::<String>::new()), "{rules:?}");
    }
}

#[tokio::test]
async fn the_hourly_job_writes_what_is_missing_through_every_decorator() {
    let minio = MockMinio::start(Deviations::default()).await;
    let clock = Arc::new(SystemClock);
    let faulty = Arc::new(FaultInjector::new(Arc::new(open(&minio, "root/").await), clock.clone()));
    let unconditional = Arc::new(NoConditionalWrites::new(Arc::new(MetricsLayer::new(faulty))));
    let objects = Arc::new(SingleWriterStore::new(unconditional, clock));
    let job = LifecycleRulesJob::new(LifecycleRules::new(objects));
    for written in [1, 0] {
        assert_eq!(job.run_once().await.unwrap().processed, written);
    }
    let rules = minio.rules(BUCKET).expect("there are rules");
    minio.set_rules(BUCKET, OTHERS);
    assert_eq!(job.run_once().await.unwrap().processed, 1, "another tool removed them");
    assert_eq!(
        minio.rules(BUCKET).expect("there are rules").matches("larder-").count(),
        rules.matches("larder-").count()
    );
    // Where a vendor does not support them, the job goes on without them, and logs so.
    minio.deviate(|deviations| deviations.rules = RuleWays::WithoutPrefix);
    minio.set_rules(BUCKET, OTHERS);
    assert_eq!(job.run_once().await.unwrap().processed, 0);
}
