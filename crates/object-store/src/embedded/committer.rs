//! The two threads behind every write: the committer, which makes all changes, and the checkpointer beside it.
//!
//! The committer takes changes from the queue, commits them with one sync, and answers. If it dies (a bug), waiting
//! callers get [`Error::Unavailable`](crate::Error::Unavailable), as does every later write; reads go on.
//!
//! A checkpoint writes thousands of pages and syncs the file. A write that waits for it is slow. So the checkpointer does
//! most of it on its own connection, which `SQLite` allows beside a writer; the committer checkpoints the small rest that
//! came since. See <https://www.sqlite.org/wal.html>, section 2.3.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::sleep,
};

use larder_runtime::clock::Timestamp;

use super::{
    index,
    io_error::closed_error,
    write_batcher::{Change, PendingWrite, WriteBatcher},
};
use crate::store::Result;

/// Capacity of the queue of changes; beyond it, callers wait.
const QUEUE_CAPACITY: usize = 256;
/// Maximum number of changes in one transaction.
const MAX_BATCH_CHANGES: usize = 256;
/// Approximate maximum of bytes that one transaction adds to the write-ahead log (WAL).
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Pages in the WAL (of 4 KiB) above which the checkpointer checkpoints it while writes go on.
const CHECKPOINT_WAL_PAGES: i64 = 1024;
/// Pages in the WAL above which the committer checkpoints the rest before the next write, so that it restarts. With one
/// more batch it must fit into the disk reserve.
const MAX_WAL_PAGES: i64 = 2048;
/// Time without a request after which free pages return to the disk.
const IDLE_TIMEOUT: Duration = Duration::from_millis(50);
/// Time after which one step of them is returned even while requests keep coming.
const VACUUM_INTERVAL: Duration = Duration::from_secs(1);

/// Handle of the thread.
#[derive(Debug)]
pub struct Committer {
    /// `None` once closed.
    queues: Mutex<Option<Queues>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Queues of changes.
#[derive(Debug, Clone)]
struct Queues {
    foreground: mpsc::Sender<PendingWrite>,
    background: mpsc::Sender<PendingWrite>,
}

impl Committer {
    /// Starts the thread. `has_request` is set by every request, also by those that change nothing.
    pub fn start(batcher: WriteBatcher, has_request: Arc<AtomicBool>) -> io::Result<Self> {
        let ((foreground, requests), (background, others)) =
            (mpsc::channel(QUEUE_CAPACITY), mpsc::channel(QUEUE_CAPACITY));
        let timer = Builder::new_current_thread().enable_time().build()?;
        let state = CommitThread {
            batcher,
            requests,
            background: others,
            has_request,
            throttle: BackgroundThrottle::default(),
            timer,
            vacuumed_at: Duration::ZERO,
        };
        let thread = thread::Builder::new().name("storage-committer".to_owned()).spawn(move || state.run())?;
        let queues = Queues { foreground, background };
        Ok(Self { queues: Mutex::new(Some(queues)), thread: Mutex::new(Some(thread)) })
    }

    /// Makes a change, and returns its time. A future dropped while the queue is full changes nothing; one dropped
    /// later leaves the change to happen or not, as a whole.
    pub async fn commit(&self, change: Change) -> Result<Timestamp> {
        let queue = {
            let queues = self.queues.lock().clone().ok_or_else(closed_error)?;
            if change.is_background() { queues.background } else { queues.foreground }
        };
        let (reply, result) = oneshot::channel();
        queue.send(PendingWrite { change, reply }).await.map_err(|_| closed_error())?;
        drop(queue);
        result.await.map_err(|_| closed_error())?
    }

    /// Returns whether changes can be made.
    pub fn is_alive(&self) -> bool {
        self.queues.lock().as_ref().is_some_and(|queues| !queues.foreground.is_closed())
    }

    /// Rejects further changes, makes the queued ones, and ends the thread.
    pub async fn close(&self) {
        drop(self.queues.lock().take());
        if let Some(thread) = self.thread() {
            // Either fails only if the thread panicked or the runtime is shutting down.
            let _ = spawn_blocking(move || thread.join()).await;
        }
    }

    /// Like [`close`](Self::close), but blocks.
    pub fn end(&self) {
        drop(self.queues.lock().take());
        if let Some(thread) = self.thread() {
            // A panic of the thread was reported where it happened.
            let _ = thread.join();
        }
    }

    fn thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().take()
    }
}

/// State of the thread.
struct CommitThread {
    batcher: WriteBatcher,
    /// Changes for requests.
    requests: mpsc::Receiver<PendingWrite>,
    /// Changes that give way to them.
    background: mpsc::Receiver<PendingWrite>,
    /// Flag set by requests.
    has_request: Arc<AtomicBool>,
    throttle: BackgroundThrottle,
    /// Only used to wait for a change or a time.
    timer: Runtime,
    /// Time of the last return of free pages while requests went on, by the monotonic clock.
    vacuumed_at: Duration,
}

/// An event of the thread.
enum Event {
    /// The first change of a batch.
    Foreground(PendingWrite),
    /// The first change of a batch without changes of requests.
    Background(PendingWrite),
    /// No change for [`IDLE_TIMEOUT`].
    Idle,
    /// The end of both queues.
    Closed,
}

impl CommitThread {
    fn run(mut self) {
        let mut has_spare_pages = true;
        loop {
            let outcome = match self.next(has_spare_pages) {
                Event::Foreground(first) => {
                    let mut batch = collect_batch(first, &mut self.requests);
                    let (alone, now) = (batch.len(), self.batcher.clock.monotonic());
                    self.throttle.note_write(now);
                    if self.throttle.remaining_delay(now).is_zero() {
                        self.add_background(&mut batch);
                    }
                    let has_background = batch.len() > alone;
                    self.commit_batch(batch, has_background)
                }
                Event::Background(first) => {
                    let mut batch = vec![first];
                    self.add_background(&mut batch);
                    self.commit_batch(batch, true)
                }
                Event::Idle => self.vacuum_while_idle(),
                Event::Closed => break,
            };
            has_spare_pages = outcome.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot checkpoint the index or free its space");
                false
            });
        }
        let WriteBatcher { checkpointer, connection, .. } = self.batcher;
        checkpointer.stop();
        if let Err(error) = index::truncate_wal(&connection) {
            tracing::warn!(%error, "cannot truncate the write-ahead log; the next start replays it");
        }
    }

    /// Waits for the next event. Changes for requests come first; the others wait for the rest after the last of them.
    #[expect(clippy::disallowed_methods, reason = "this thread waits for a disk, whatever time a test has")]
    fn next(&mut self, has_spare_pages: bool) -> Event {
        let now = self.batcher.clock.monotonic();
        if self.has_request.swap(false, Ordering::Relaxed) {
            self.throttle.note_request(now);
        }
        let rest = self.throttle.remaining_delay(now);
        let Self { requests, background, .. } = self;
        let may_idle = has_spare_pages && !requests.is_closed();
        self.timer.block_on(async {
            let rested = async {
                if !rest.is_zero() {
                    sleep(rest).await;
                }
                background.recv().await
            };
            tokio::select! {
                biased;
                Some(first) = requests.recv() => Event::Foreground(first),
                Some(first) = rested => Event::Background(first),
                () = sleep(IDLE_TIMEOUT), if may_idle => Event::Idle,
                else => Event::Closed,
            }
        })
    }

    /// Adds queued background changes, up to their maximum number of objects.
    fn add_background(&mut self, batch: &mut Vec<PendingWrite>) {
        let max_objects = self.throttle.max_objects(self.batcher.clock.monotonic());
        let mut objects = 0;
        while objects < max_objects {
            let Ok(next) = self.background.try_recv() else { break };
            objects += next.change.objects();
            batch.push(next);
        }
    }

    /// Makes a batch of changes. Returns whether there are free pages to return.
    fn commit_batch(&mut self, batch: Vec<PendingWrite>, has_background: bool) -> rusqlite::Result<bool> {
        let began = self.batcher.clock.monotonic();
        self.batcher.commit(batch);
        if has_background {
            self.throttle.note_work(began, self.batcher.clock.monotonic());
        }
        self.maintain()
    }

    /// Performs the maintenance that must not wait for a pause. Returns whether there are free pages to return.
    fn maintain(&mut self) -> rusqlite::Result<bool> {
        self.checkpoint_if_due()?;
        let (connection, now) = (&self.batcher.connection, self.batcher.clock.monotonic());
        let has_spare_pages = index::has_spare_pages(connection)?;
        if has_spare_pages && now.saturating_sub(self.vacuumed_at) >= VACUUM_INTERVAL {
            self.vacuumed_at = now;
            index::vacuum_spare_pages(connection)?;
        }
        Ok(has_spare_pages)
    }

    /// Starts a checkpoint of a long log.
    fn checkpoint_if_due(&self) -> rusqlite::Result<()> {
        let connection = &self.batcher.connection;
        match index::wal_pages(connection)? {
            MAX_WAL_PAGES.. => {
                let _paused = self.batcher.checkpointer.pause();
                index::checkpoint(connection)?;
            }
            CHECKPOINT_WAL_PAGES.. => self.batcher.checkpointer.wake(),
            _ => {}
        }
        Ok(())
    }

    /// Returns free pages to the disk until the next request comes. Returns whether more are left.
    fn vacuum_while_idle(&self) -> rusqlite::Result<bool> {
        let connection = &self.batcher.connection;
        while self.requests.is_empty() && self.background.is_empty() {
            if !index::vacuum_spare_pages(connection)? {
                // The file shrinks only by a checkpoint.
                let _paused = self.batcher.checkpointer.pause();
                index::checkpoint(connection)?;
                return Ok(false);
            }
            self.checkpoint_if_due()?;
        }
        Ok(true)
    }
}

/// Returns the queued changes, within limits, without waiting for more: the next batch gathers while this one is
/// synced.
fn collect_batch(first: PendingWrite, requests: &mut mpsc::Receiver<PendingWrite>) -> Vec<PendingWrite> {
    let mut wal_bytes = first.change.wal_bytes();
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH_CHANGES && wal_bytes < MAX_BATCH_BYTES {
        let Ok(next) = requests.try_recv() else { break };
        wal_bytes += next.change.wal_bytes();
        batch.push(next);
    }
    batch
}

/// Handle of the thread.
#[derive(Debug)]
pub struct Checkpointer {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
    running: Arc<Mutex<()>>,
}

impl Checkpointer {
    /// Starts the thread over a connection to the index.
    pub fn start(connection: Connection) -> io::Result<Self> {
        // One call may wait: writes made meanwhile are in the WAL by then.
        let (wake, calls) = sync_channel(1);
        let running = Arc::default();
        let held = Arc::clone(&running);
        let thread = thread::Builder::new()
            .name("storage-checkpointer".to_owned())
            .spawn(move || run(&calls, &connection, &held))?;
        Ok(Self { wake, thread, running })
    }

    /// Requests a checkpoint.
    pub fn wake(&self) {
        // Fails if a call waits already, or if the thread is gone: then the committer checkpoints.
        let _ = self.wake.try_send(());
    }

    /// Waits for a checkpoint under way, and prevents the next one: in `SQLite` only one connection may run one at a
    /// time.
    pub fn pause(&self) -> MutexGuard<'_, ()> {
        self.running.lock()
    }

    /// Ends the thread.
    pub fn stop(self) {
        drop(self.wake);
        // A panic of the thread was reported where it happened.
        let _ = self.thread.join();
    }
}

fn run(calls: &Receiver<()>, connection: &Connection, running: &Mutex<()>) {
    while calls.recv().is_ok() {
        let _moving = running.lock();
        if let Err(error) = index::checkpoint(connection) {
            tracing::warn!(%error, "cannot checkpoint the index beside writes");
        }
    }
}

// Throttle of background changes: rests between transactions while requests are served.
//
// A transaction delays every write behind it, and a thread that never pauses takes a processor from readers. While no
// request is served, there is no rest.

/// Maximum number of objects that background changes touch in one transaction.
const MAX_OBJECTS: usize = 64;

/// Minimum of that number beside requests that write. So few take less time than the sync.
pub const MIN_OBJECTS: usize = 12;

/// Objects for each millisecond of a transaction: a slow sync allows more of them, which prolong it by the same part.
const OBJECTS_PER_MILLISECOND: u128 = 12;

/// Ratio of a rest to the work before it.
const REST_FACTOR: u32 = 9;

/// Maximum rest. It bounds how much longer all work takes on a slow disk.
const MAX_REST: Duration = Duration::from_millis(15);

/// Maximum rest beside requests that write: transactions are smaller then.
const MAX_REST_BESIDE_WRITES: Duration = Duration::from_millis(6);

/// Time after a request for which others are expected.
const REQUEST_WINDOW: Duration = Duration::from_millis(250);

/// State of the throttle. All times are of the monotonic clock.
#[derive(Debug, Default)]
pub struct BackgroundThrottle {
    /// Duration of the last transaction with background changes.
    last_work: Duration,
    /// End of the rest after it.
    rested_at: Duration,
    /// Time until which requests are expected.
    requests_until: Duration,
    /// Time until which requests that write are expected.
    writes_until: Duration,
}

impl BackgroundThrottle {
    /// Records that a request was served at `now`.
    pub fn note_request(&mut self, now: Duration) {
        self.requests_until = now + REQUEST_WINDOW;
    }

    /// Records that a request wrote at `now`.
    pub fn note_write(&mut self, now: Duration) {
        self.requests_until = now + REQUEST_WINDOW;
        self.writes_until = now + REQUEST_WINDOW;
    }

    /// Records a transaction with background changes.
    pub fn note_work(&mut self, began: Duration, ended: Duration) {
        self.last_work = ended.saturating_sub(began);
        let max_rest = if ended < self.writes_until { MAX_REST_BESIDE_WRITES } else { MAX_REST };
        self.rested_at = ended + (self.last_work * REST_FACTOR).min(max_rest);
    }

    /// Returns the number of objects that background changes may touch in one transaction.
    pub fn max_objects(&self, now: Duration) -> usize {
        if now >= self.writes_until {
            return MAX_OBJECTS;
        }
        let by_time = self.last_work.as_micros() * OBJECTS_PER_MILLISECOND / 1000;
        usize::try_from(by_time).unwrap_or(MAX_OBJECTS).clamp(MIN_OBJECTS, MAX_OBJECTS)
    }

    /// Returns the time that background changes still have to wait.
    pub fn remaining_delay(&self, now: Duration) -> Duration {
        if now < self.requests_until { self.rested_at.saturating_sub(now) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Duration = Duration::from_millis(2);

    #[test]
    fn a_rest_follows_work_beside_requests() {
        let mut throttle = BackgroundThrottle::default();
        throttle.note_request(WORK);
        throttle.note_work(WORK / 2, WORK);
        assert_eq!(throttle.remaining_delay(WORK), WORK / 2 * REST_FACTOR);
        assert_eq!(throttle.remaining_delay(WORK + WORK / 2 * REST_FACTOR), Duration::ZERO);
    }

    #[test]
    fn no_rest_is_taken_where_no_request_is_served() {
        let mut throttle = BackgroundThrottle::default();
        throttle.note_work(Duration::ZERO, WORK);
        assert_eq!(throttle.remaining_delay(WORK), Duration::ZERO);
        throttle.note_request(WORK);
        let long_after = WORK + REQUEST_WINDOW;
        throttle.note_work(long_after, long_after + WORK);
        assert_eq!(throttle.remaining_delay(long_after + WORK), Duration::ZERO);
    }

    #[test]
    fn transactions_are_small_beside_writes_unless_each_takes_long() {
        let mut throttle = BackgroundThrottle::default();
        throttle.note_request(WORK);
        assert_eq!(throttle.max_objects(WORK), MAX_OBJECTS);
        throttle.note_write(WORK);
        assert_eq!(throttle.max_objects(WORK), MIN_OBJECTS);
        throttle.note_work(WORK, WORK * 3);
        assert_eq!(throttle.max_objects(WORK * 3), 48);
        assert_eq!(throttle.max_objects(WORK + REQUEST_WINDOW), MAX_OBJECTS);
    }

    #[test]
    fn a_rest_does_not_grow_with_every_delay() {
        let mut throttle = BackgroundThrottle::default();
        let ended = Duration::from_secs(10);
        throttle.note_request(ended);
        throttle.note_work(Duration::ZERO, ended);
        assert_eq!(throttle.remaining_delay(ended), MAX_REST);
        throttle.note_write(ended);
        throttle.note_work(Duration::ZERO, ended);
        assert_eq!(throttle.remaining_delay(ended), MAX_REST_BESIDE_WRITES);
    }
}
