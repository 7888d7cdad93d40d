//! The clock record of an installation in the object store: read at start, written about once a minute.
//!
//! Any number of gateways share it. Each reads it once a minute. The first that finds it a minute old writes it, on
//! condition that no other gateway did.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    clock::{ClockGuard, ClockRecord},
    kv::model::errors::{Error, Result},
    storage::{ETag, ObjectStore},
};

use super::{
    json::{JsonError, UnconditionalWrite, create_json, put_unconditionally, read_json, replace_json},
    object_keys,
};

/// Nothing deletes the record, and any last write is acceptable.
impl UnconditionalWrite for ClockRecord {}

/// State that a write of the record replaces.
enum Current {
    Absent,
    Record(ETag),
    Damaged,
}

/// Maximum number of attempts to write the record while other gateways write it, too.
const MAX_WRITE_ATTEMPTS: usize = 8;

/// The record of an installation's time, and the guard that it belongs to.
#[derive(Debug)]
pub struct ClockRecords {
    objects: Arc<dyn ObjectStore>,
    guard: Arc<ClockGuard>,
    is_writer: bool,
    /// The record as last read or written.
    last: Mutex<Option<ClockRecord>>,
}

impl ClockRecords {
    /// Returns the clock record in `objects`; `guard` continues from the state that earlier processes recorded. A
    /// gateway that is not a writer only reads it.
    pub async fn open(objects: Arc<dyn ObjectStore>, guard: Arc<ClockGuard>, is_writer: bool) -> Result<Self> {
        let records = Self { objects, guard, is_writer, last: Mutex::default() };
        match records.read().await {
            Ok(Some((record, _))) => {
                records.guard.resume(&record);
                *records.last.lock() = Some(record);
            }
            Ok(None) => {}
            Err(JsonError::Damaged { .. }) => records.guard.suspend("the clock record of the installation is damaged"),
            Err(error) => return Err(Error::unavailable(error)),
        }
        records.sync().await?;
        Ok(records)
    }

    /// Returns the guard that the record belongs to.
    pub fn guard(&self) -> &Arc<ClockGuard> {
        &self.guard
    }

    /// Merges what other gateways recorded, and records what they do not know: a new minute, a clock jump, a
    /// suspension. Returns whether the record was written. Calls the object store once a minute, or after an event.
    pub async fn sync(&self) -> Result<bool> {
        let last = self.last.lock().clone();
        if self.guard.new_record(last.as_ref()).is_none() { Ok(false) } else { self.write().await }
    }

    /// Records that an operator confirmed the wall time, which resumes deletions.
    pub async fn accept(&self) -> Result<()> {
        self.guard.confirm();
        self.write().await.map(drop)
    }

    async fn write(&self) -> Result<bool> {
        for _ in 0..MAX_WRITE_ATTEMPTS {
            let (found, current) = match self.read().await {
                Ok(Some((record, etag))) => (Some(record), Current::Record(etag)),
                Ok(None) => (None, Current::Absent),
                // None of it is usable.
                Err(JsonError::Damaged { .. }) => (None, Current::Damaged),
                Err(error) => return Err(Error::unavailable(error)),
            };
            if let Some(record) = &found {
                self.guard.merge(record);
            }
            let next = if self.is_writer { self.guard.new_record(found.as_ref()) } else { None };
            let Some(next) = next else {
                *self.last.lock() = found;
                return Ok(false);
            };
            let objects = self.objects.as_ref();
            let written = match current {
                Current::Absent => create_json(objects, object_keys::CLOCK, &next).await,
                Current::Record(etag) => replace_json(objects, object_keys::CLOCK, &next, etag).await,
                Current::Damaged => put_unconditionally(objects, object_keys::CLOCK, &next).await.map(|()| true),
            };
            match written {
                Ok(true) => {
                    *self.last.lock() = Some(next);
                    return Ok(true);
                }
                Ok(false) => {}
                Err(error) => return Err(Error::unavailable(error)),
            }
        }
        Err(Error::unavailable("cannot write the clock record: too many gateways write it at the same time"))
    }

    async fn read(&self) -> std::result::Result<Option<(ClockRecord, ETag)>, JsonError> {
        read_json(self.objects.as_ref(), object_keys::CLOCK).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        clock::{ManualClock, Timestamp},
        storage::{Operation, in_memory::InMemoryStore, metrics_layer::MetricsLayer},
    };
    use larder_test_kit::fault_injection::{Call, Fault, FaultInjector};

    const DAY_MILLIS: i64 = 86_400_000;

    struct World {
        clock: Arc<ManualClock>,
        objects: Arc<MetricsLayer<InMemoryStore>>,
    }

    impl World {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_767_225_600_000)));
            let objects = Arc::new(MetricsLayer::new(Arc::new(InMemoryStore::new(clock.clone()))));
            Self { clock, objects }
        }

        async fn start(&self) -> ClockRecords {
            self.start_over(self.objects.clone(), true).await
        }

        async fn start_over(&self, objects: Arc<dyn ObjectStore>, is_writer: bool) -> ClockRecords {
            let guard = Arc::new(ClockGuard::new(self.clock.clone(), self.clock.clone()));
            ClockRecords::open(objects, guard, is_writer).await.expect("it starts")
        }
    }

    #[tokio::test]
    async fn the_record_is_written_once_a_minute_however_many_gateways_there_are() {
        let world = World::new();
        let gateways = [world.start().await, world.start().await, world.start().await];
        let before = world.objects.counts();
        for _ in 0..60 {
            world.clock.advance(Duration::from_secs(10));
            for gateway in &gateways {
                gateway.sync().await.expect("it answers");
            }
        }
        let after = world.objects.counts();
        let begun = |operation| after.for_operation(operation).begun - before.for_operation(operation).begun;
        assert_eq!((begun(Operation::Put), begun(Operation::Get)), (10, 30));
    }

    #[tokio::test]
    async fn a_suspension_outlives_the_process_that_began_it() {
        let world = World::new();
        let first = world.start().await;
        world.clock.jump(8 * DAY_MILLIS);
        assert!(first.sync().await.expect("it answers"), "a jump is recorded at once");
        drop(first);
        let second = world.start().await;
        assert!(!second.guard().allows_deletion());
        let third = world.start().await;
        second.accept().await.expect("it answers");
        assert!(second.guard().allows_deletion() && !third.guard().allows_deletion());
        world.clock.advance(Duration::from_mins(1));
        third.sync().await.expect("it answers");
        assert!(third.guard().allows_deletion());
        assert!(world.start().await.guard().allows_deletion());
    }

    #[tokio::test]
    async fn a_start_before_the_recorded_time_suspends_deletions() {
        let world = World::new();
        world.start().await;
        world.clock.jump(-DAY_MILLIS);
        assert!(!world.start().await.guard().allows_deletion());
    }

    #[tokio::test]
    async fn a_damaged_record_suspends_deletions_and_is_replaced() {
        let world = World::new();
        create_json(world.objects.as_ref(), object_keys::CLOCK, &"nonsense").await.expect("it is written");
        let (first, second) = (world.start().await, world.start().await);
        let replaced = read_json::<ClockRecord>(world.objects.as_ref(), object_keys::CLOCK).await;
        assert!(replaced.is_ok_and(|found| found.is_some()));
        assert!(!first.guard().allows_deletion() && !second.guard().allows_deletion());
        world.clock.advance(Duration::from_hours(24));
        assert!(first.guard().allows_deletion() && second.guard().allows_deletion());
    }

    #[tokio::test]
    async fn uptime_goes_on_where_the_last_process_ended() {
        let world = World::new();
        let first = world.start().await;
        world.clock.advance(Duration::from_hours(1));
        first.sync().await.expect("it answers");
        assert_eq!(world.start().await.guard().uptime(), Duration::from_hours(1));
    }

    #[tokio::test]
    async fn a_gateway_that_is_no_writer_reads_the_record_and_leaves_it_as_it_is() {
        let world = World::new();
        let reader = world.start_over(world.objects.clone(), false).await;
        world.clock.advance(Duration::from_mins(1));
        assert!(!reader.sync().await.expect("it answers"));
        assert_eq!(world.objects.counts().for_operation(Operation::Put).begun, 0);
        let writer = world.start().await;
        writer.guard().suspend("a test");
        writer.sync().await.expect("it answers");
        world.clock.advance(Duration::from_mins(1));
        reader.sync().await.expect("it answers");
        assert!(!reader.guard().allows_deletion());
    }

    #[tokio::test]
    async fn of_two_gateways_that_write_at_once_neither_takes_back_what_the_other_says() {
        let world = World::new();
        let faulty = Arc::new(FaultInjector::new(world.objects.clone(), world.clock.clone()));
        let (slow, other) = (world.start_over(faulty.clone(), true).await, world.start().await);
        world.clock.jump(8 * DAY_MILLIS);
        slow.sync().await.expect("it answers");
        world.clock.advance(Duration::from_mins(1));
        let delay = Duration::from_secs(10);
        faulty.inject(Call { operation: Some(Operation::Put), ..Call::default() }, Fault::Delay(delay));
        let mut writing = Box::pin(slow.sync());
        assert!(futures_util::poll!(writing.as_mut()).is_pending());
        other.accept().await.expect("it answers");
        world.clock.advance(delay);
        writing.await.expect("it answers");
        assert!(slow.guard().allows_deletion() && world.start().await.guard().allows_deletion());
    }
}
