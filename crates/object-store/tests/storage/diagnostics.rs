//! Diagnostics find each way in which an object store breaks its contract, and leave no objects.

use std::{future::pending, sync::Arc, time::Duration};

use async_trait::async_trait;
use larder_object_store::{
    Attributes, ByteStream, Error, GetOptions, ListOptions, ListPage, Object, ObjectMeta, ObjectStore, Precondition,
    PutOptions, PutOutcome, Result,
    diagnostics::{CheckResult, CheckRunner, Outcome, PROBES, Status},
    in_memory::InMemoryStore,
};
use larder_runtime::clock::{ManualClock, SeededRandom, SystemClock, Timestamp};
use larder_test_kit::no_conditional_writes::NoConditionalWrites;

/// Way in which an object store lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// It responds 200 to conditional requests, and ignores the conditions.
    IgnoresConditions,
    /// It looks at a condition, and writes a moment later.
    LooksFirst,
    /// It lists by the length of keys.
    OrdersByLength,
    /// It says that the first page of a list is the last.
    EndsLists,
    /// It includes the start key in a list.
    StartsTooEarly,
    /// It shows an object as it was first.
    ReadsOldObjects,
    /// It deletes nothing.
    KeepsDeleted,
    /// It forgets codings.
    ForgetsCodings,
    /// It takes a coding out of names.
    DecodesKeys,
    /// It takes half a body for a whole one.
    StoresHalfBodies,
    /// Its clock is two minutes ahead.
    IsAhead,
}

#[derive(Debug)]
struct Liar {
    inner: InMemoryStore,
    lie: Lie,
}

#[async_trait]
impl ObjectStore for Liar {
    async fn put(&self, key: &str, body: ByteStream, mut options: PutOptions) -> Result<PutOutcome> {
        let key = if self.lie == Lie::DecodesKeys { key.replace("%2F", "-") } else { key.to_owned() };
        let mut body = body;
        match self.lie {
            Lie::IgnoresConditions => options.precondition = Precondition::None,
            Lie::LooksFirst => {
                let there = self.inner.head(&key).await.ok().map(|meta| meta.etag);
                let holds = match std::mem::take(&mut options.precondition) {
                    Precondition::None => true,
                    Precondition::IfAbsent => there.is_none(),
                    Precondition::IfMatch(etag) => there == Some(etag),
                };
                if !holds {
                    return Err(Error::Precondition);
                }
                tokio::task::yield_now().await;
            }
            Lie::ReadsOldObjects if self.inner.head(&key).await.is_ok() => {
                let meta = self.inner.head(&key).await?;
                return Ok(PutOutcome { etag: meta.etag, last_modified: meta.last_modified });
            }
            Lie::ForgetsCodings => options.attributes = Attributes { content_encoding: None, ..options.attributes },
            Lie::StoresHalfBodies => {
                use futures_util::StreamExt as _;
                let whole: Vec<_> = body.take_while(|chunk| std::future::ready(chunk.is_ok())).collect().await;
                body = ByteStream::new(None, futures_util::stream::iter(whole));
            }
            _ => {}
        }
        let mut outcome = self.inner.put(&key, body, options).await?;
        if self.lie == Lie::IsAhead {
            outcome.last_modified = outcome.last_modified.plus(Duration::from_mins(2));
        }
        Ok(outcome)
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.inner.get(key, options).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.inner.head(key).await
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        match self.lie {
            Lie::KeepsDeleted => Ok(()),
            _ => self.inner.delete(key, precondition).await,
        }
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.inner.delete_many(keys).await
    }

    async fn list(&self, mut options: ListOptions) -> Result<ListPage> {
        let first = options.start_after.clone();
        if self.lie == Lie::StartsTooEarly {
            options.start_after = None;
        }
        let mut page = self.inner.list(options).await?;
        match self.lie {
            Lie::OrdersByLength => page.objects.sort_by_key(|object| (object.key.len(), object.key.clone())),
            Lie::EndsLists => page.is_truncated = false,
            Lie::StartsTooEarly => {
                page.objects.retain(|object| first.as_ref().is_none_or(|first| object.key >= *first));
            }
            _ => {}
        }
        Ok(page)
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        self.inner.copy(from, to, precondition).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

async fn run_checks(objects: &dyn ObjectStore) -> (bool, Vec<CheckResult>) {
    let random = SeededRandom::new(1);
    let mut runner = CheckRunner::new(objects, &SystemClock, &random);
    let conditions = runner.probe_conditions().await.expect("they are found out");
    runner.run_all().await;
    (conditions.are_relied_on(), runner.finish().await)
}

fn liar(lie: Lie) -> Liar {
    Liar { inner: InMemoryStore::new(Arc::new(SystemClock)), lie }
}

#[tokio::test]
async fn all_checks_of_the_reference_pass_and_leave_no_object() {
    let memory = InMemoryStore::new(Arc::new(SystemClock));
    let (relied_on, results) = run_checks(&memory).await;
    assert!(relied_on);
    assert!(results.iter().all(|result| result.outcome.status == Status::Pass), "{results:#?}");
    assert!(results.len() >= 8);
    let left = memory.list(ListOptions { prefix: PROBES.to_owned(), start_after: None, limit: 10 }).await.unwrap();
    assert!(left.objects.is_empty(), "{left:?}");
}

#[tokio::test]
async fn every_broken_guarantee_fails_its_check() {
    for (lie, check) in [
        (Lie::OrdersByLength, "order of lists"),
        (Lie::StartsTooEarly, "order of lists"),
        (Lie::EndsLists, "long lists"),
        (Lie::ReadsOldObjects, "reads after writes"),
        (Lie::KeepsDeleted, "reads after writes"),
        (Lie::ForgetsCodings, "attributes"),
        (Lie::DecodesKeys, "odd keys"),
        (Lie::StoresHalfBodies, "large bodies"),
        (Lie::IsAhead, "clock"),
    ] {
        let (_, results) = run_checks(&liar(lie)).await;
        let found = results.iter().find(|result| result.check == check).expect("it is looked at");
        assert_eq!(found.outcome.status, Status::Fail, "{lie:?}: {found:?}");
        assert!(found.outcome.advice.is_some(), "{lie:?}");
    }
}

#[tokio::test]
async fn conditions_that_do_not_hold_are_not_relied_on() {
    let memory = Arc::new(InMemoryStore::new(Arc::new(SystemClock)));
    let liars = [Lie::IgnoresConditions, Lie::LooksFirst].map(liar);
    let stores: [&dyn ObjectStore; 3] = [&NoConditionalWrites::new(memory), &liars[0], &liars[1]];
    for store in stores {
        let (relied_on, results) = run_checks(store).await;
        assert!(!relied_on, "{store:?}");
        let found = &results[0];
        assert_eq!((found.check, found.outcome.status), ("conditional writes", Status::Degraded));
        assert!(found.outcome.advice.as_ref().is_some_and(|advice| advice.contains("LARDER_LEADER")));
        assert!(results[1..].iter().all(|result| result.outcome.status == Status::Pass), "{results:#?}");
    }
}

#[tokio::test]
async fn a_check_without_an_end_is_reported_as_timed_out() {
    let memory = InMemoryStore::new(Arc::new(SystemClock));
    let clock = ManualClock::new(Timestamp::from_millis(0));
    let random = SeededRandom::new(1);
    let mut runner = CheckRunner::new(&memory, &clock, &random);
    let endless = pending::<Result<Outcome>>();
    tokio::join!(runner.check("it", "nothing", Duration::from_secs(9), endless), async {
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(9));
    });
    let results = runner.finish().await;
    assert_eq!((results.len(), results[0].outcome.status), (1, Status::TimedOut), "{results:?}");
    assert!(results[0].outcome.message.contains("9 s"));
}
