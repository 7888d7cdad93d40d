//! The two threads behind every write: the committer, which makes all changes, and the checkpointer beside it.
//!
//! The committer takes changes from the queue, commits them with one sync, and answers. If it dies (a bug), waiting
//! callers get [`Error::Unavailable`](crate::Error::Unavailable), as does every later write; reads go on.
//!
//! A checkpoint writes thousands of pages and syncs the file. A write that waits for it is slow. So the checkpointer does
//! most of it on its own connection, which `SQLite` allows beside a writer; the committer moves the small rest that came
//! since. See <https://www.sqlite.org/wal.html>, section 2.3.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::sleep,
};

use larder_runtime::clock::Timestamp;

use crate::error::Result;

use super::{
    background_throttle::BackgroundThrottle,
    index,
    io_error::closed,
    write_batcher::{Batches, Change, Request},
};

/// Capacity of the queue of changes; beyond it, callers wait.
const QUEUE: usize = 256;
/// Maximum number of changes in one transaction.
const BATCH_CHANGES: usize = 256;
/// Approximate maximum of bytes that one transaction adds to the log.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Pages in the log (of 4 KiB) above which another thread moves it into the index while writes go on.
const LONG_LOG_PAGES: i64 = 1024;
/// Pages in the log above which the rest of it is moved before the next write, so that it restarts. With one more batch
/// it must fit into the reserve of `room`.
const LOG_PAGES: i64 = 2048;
/// Time without a request after which free pages return to the disk.
const IDLE: Duration = Duration::from_millis(50);
/// Time after which one step of them is returned even while requests keep coming.
const GIVING_INTERVAL: Duration = Duration::from_secs(1);

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
    foreground: mpsc::Sender<Request>,
    background: mpsc::Sender<Request>,
}

impl Committer {
    /// Starts the thread. `has_request` is set by every request, also by those that change nothing.
    pub fn start(batches: Batches, has_request: Arc<AtomicBool>) -> io::Result<Self> {
        let ((foreground, requests), (background, others)) = (mpsc::channel(QUEUE), mpsc::channel(QUEUE));
        let timer = Builder::new_current_thread().enable_time().build()?;
        let state = CommitThread {
            batches,
            requests,
            background: others,
            has_request,
            throttle: BackgroundThrottle::default(),
            timer,
            space_given_at: Duration::ZERO,
        };
        let thread = thread::Builder::new().name("storage-committer".to_owned()).spawn(move || state.run())?;
        let queues = Queues { foreground, background };
        Ok(Self { queues: Mutex::new(Some(queues)), thread: Mutex::new(Some(thread)) })
    }

    /// Makes a change, and returns its time. A future dropped while the queue is full changes nothing; one dropped
    /// later leaves the change to happen or not, as a whole.
    pub async fn commit(&self, change: Change) -> Result<Timestamp> {
        let queue = {
            let queues = self.queues().clone().ok_or_else(closed)?;
            if change.is_background() { queues.background } else { queues.foreground }
        };
        let (answer, answered) = oneshot::channel();
        queue.send(Request { change, answer }).await.map_err(|_| closed())?;
        drop(queue);
        answered.await.map_err(|_| closed())?
    }

    /// Returns whether changes can be made.
    pub fn is_alive(&self) -> bool {
        self.queues().as_ref().is_some_and(|queues| !queues.foreground.is_closed())
    }

    /// Rejects further changes, makes the queued ones, and ends the thread.
    pub async fn close(&self) {
        drop(self.queues().take());
        if let Some(thread) = self.thread() {
            // Either fails only if the thread panicked or the runtime is shutting down.
            let _ = spawn_blocking(move || thread.join()).await;
        }
    }

    /// Like [`close`](Self::close), but blocks.
    pub fn end(&self) {
        drop(self.queues().take());
        if let Some(thread) = self.thread() {
            // A panic of the thread was reported where it happened.
            let _ = thread.join();
        }
    }

    fn queues(&self) -> MutexGuard<'_, Option<Queues>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// State of the thread.
struct CommitThread {
    batches: Batches,
    /// Changes for requests.
    requests: mpsc::Receiver<Request>,
    /// Changes that give way to them.
    background: mpsc::Receiver<Request>,
    /// Flag set by requests.
    has_request: Arc<AtomicBool>,
    throttle: BackgroundThrottle,
    /// Only used to wait for a change or a time.
    timer: Runtime,
    /// Time of the last return of free pages while requests went on, by the monotonic clock.
    space_given_at: Duration,
}

/// An event of the thread.
enum Event {
    /// The first change of a batch.
    Request(Request),
    /// The first change of a batch without changes of requests.
    Background(Request),
    /// No change for [`IDLE`].
    Idle,
    /// The end of both queues.
    Closed,
}

impl CommitThread {
    fn run(mut self) {
        let mut has_spare_pages = true;
        loop {
            let kept = match self.next(has_spare_pages) {
                Event::Request(first) => {
                    let mut batch = gather(first, &mut self.requests);
                    let (alone, now) = (batch.len(), self.batches.clock.monotonic());
                    self.throttle.note_write(now);
                    if self.throttle.rest(now).is_zero() {
                        self.add_background(&mut batch);
                    }
                    let has_background = batch.len() > alone;
                    self.make(batch, has_background)
                }
                Event::Background(first) => {
                    let mut batch = vec![first];
                    self.add_background(&mut batch);
                    self.make(batch, true)
                }
                Event::Idle => self.give_space_back(),
                Event::Closed => break,
            };
            has_spare_pages = kept.unwrap_or_else(|error| {
                tracing::warn!(%error, "the index's log could not be moved, or its space not be given back");
                false
            });
        }
        let Batches { checkpointer, connection, .. } = self.batches;
        checkpointer.stop();
        if let Err(error) = index::empty_log(&connection) {
            tracing::warn!(%error, "the index's log could not be emptied; the next start replays it");
        }
    }

    /// Waits for the next event. Changes for requests come first; the others wait for the rest after the last of them.
    #[expect(clippy::disallowed_methods, reason = "this thread waits for a disk, whatever time a test has")]
    fn next(&mut self, has_spare_pages: bool) -> Event {
        let now = self.batches.clock.monotonic();
        if self.has_request.swap(false, Ordering::Relaxed) {
            self.throttle.note_request(now);
        }
        let rest = self.throttle.rest(now);
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
                Some(first) = requests.recv() => Event::Request(first),
                Some(first) = rested => Event::Background(first),
                () = sleep(IDLE), if may_idle => Event::Idle,
                else => Event::Closed,
            }
        })
    }

    /// Adds queued background changes, up to their maximum number of objects.
    fn add_background(&mut self, batch: &mut Vec<Request>) {
        let max_objects = self.throttle.max_objects(self.batches.clock.monotonic());
        let mut objects = 0;
        while objects < max_objects {
            let Ok(next) = self.background.try_recv() else { break };
            objects += next.change.objects();
            batch.push(next);
        }
    }

    /// Makes a batch of changes. Returns whether there are free pages to return.
    fn make(&mut self, batch: Vec<Request>, has_background: bool) -> rusqlite::Result<bool> {
        let began = self.batches.clock.monotonic();
        self.batches.make(batch);
        if has_background {
            self.throttle.note_work(began, self.batches.clock.monotonic());
        }
        self.maintain()
    }

    /// Performs the maintenance that must not wait for a pause. Returns whether there are free pages to return.
    fn maintain(&mut self) -> rusqlite::Result<bool> {
        self.checkpoint_if_long()?;
        let (connection, now) = (&self.batches.connection, self.batches.clock.monotonic());
        let has_spare_pages = index::has_spare_pages(connection)?;
        if has_spare_pages && now.saturating_sub(self.space_given_at) >= GIVING_INTERVAL {
            self.space_given_at = now;
            index::give_space_back(connection)?;
        }
        Ok(has_spare_pages)
    }

    /// Starts a checkpoint of a long log.
    fn checkpoint_if_long(&self) -> rusqlite::Result<()> {
        let connection = &self.batches.connection;
        match index::log_pages(connection)? {
            LOG_PAGES.. => {
                let _paused = self.batches.checkpointer.pause();
                index::move_log(connection)?;
            }
            LONG_LOG_PAGES.. => self.batches.checkpointer.wake(),
            _ => {}
        }
        Ok(())
    }

    /// Returns free pages to the disk until the next request comes. Returns whether more are left.
    fn give_space_back(&self) -> rusqlite::Result<bool> {
        let connection = &self.batches.connection;
        while self.requests.is_empty() && self.background.is_empty() {
            if !index::give_space_back(connection)? {
                // The file shrinks only when the log is moved.
                let _paused = self.batches.checkpointer.pause();
                index::move_log(connection)?;
                return Ok(false);
            }
            self.checkpoint_if_long()?;
        }
        Ok(true)
    }
}

/// Returns the queued changes, within limits, without waiting for more: the next batch gathers while this one is
/// synced.
fn gather(first: Request, requests: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let mut weight = first.change.weight();
    let mut batch = vec![first];
    while batch.len() < BATCH_CHANGES && weight < BATCH_BYTES {
        let Ok(next) = requests.try_recv() else { break };
        weight += next.change.weight();
        batch.push(next);
    }
    batch
}

/// Handle of the thread.
#[derive(Debug)]
pub struct Checkpointer {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
    under_way: Arc<Mutex<()>>,
}

impl Checkpointer {
    /// Starts the thread over a connection to the index.
    pub fn start(connection: Connection) -> io::Result<Self> {
        // One call may wait: writes made meanwhile are in the log by then.
        let (wake, calls) = sync_channel(1);
        let under_way = Arc::default();
        let held = Arc::clone(&under_way);
        let thread = thread::Builder::new()
            .name("storage-checkpointer".to_owned())
            .spawn(move || run(&calls, &connection, &held))?;
        Ok(Self { wake, thread, under_way })
    }

    /// Requests a checkpoint.
    pub fn wake(&self) {
        // Fails if a call waits already, or if the thread is gone: then the writer moves the log.
        let _ = self.wake.try_send(());
    }

    /// Waits for a checkpoint under way, and prevents the next one: in `SQLite` only one connection may run one at a
    /// time.
    pub fn pause(&self) -> MutexGuard<'_, ()> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread.
    pub fn stop(self) {
        drop(self.wake);
        // A panic of the thread was reported where it happened.
        let _ = self.thread.join();
    }
}

fn run(calls: &Receiver<()>, connection: &Connection, under_way: &Mutex<()>) {
    while calls.recv().is_ok() {
        let _moving = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = index::move_log(connection) {
            tracing::warn!(%error, "the index's log could not be moved beside writes");
        }
    }
}
