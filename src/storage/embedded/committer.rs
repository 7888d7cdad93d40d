//! The thread that makes every change: it takes what is queued, commits it with one sync, and answers.
//!
//! When it dies (a bug), whoever waits for an answer gets [`Error::Unavailable`](super::super::Error::Unavailable),
//! as does every later write; reads go on.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::sleep,
};

use crate::clock::Timestamp;

use super::{
    super::error::Result,
    background_throttle::BackgroundThrottle,
    batch::{Batches, Change, Request},
    faults::closed,
    index,
};

/// Changes that may wait; whoever brings one more waits for his turn.
const QUEUE: usize = 256;
/// The most changes in one transaction.
const BATCH_CHANGES: usize = 256;
/// About the most bytes the log grows by in one transaction.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Pages in the log (of 4 KiB) from which on another thread moves it into the index while writes go on.
const LONG_LOG_PAGES: i64 = 1024;
/// Pages in the log from which on the rest of it is moved before the next write, so that it begins again. With a batch more
/// it must stay within what `room` sets aside.
const LOG_PAGES: i64 = 2048;
/// Time without a request after which free pages are given back to the disk.
const IDLE: Duration = Duration::from_millis(50);
/// Time after which a step of them is given back although requests go on coming.
const GIVING_INTERVAL: Duration = Duration::from_secs(1);

/// The way to the thread.
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
    /// Starts the thread. `is_called` is set by every request, also by those that change nothing.
    pub fn start(batches: Batches, is_called: Arc<AtomicBool>) -> io::Result<Self> {
        let ((foreground, requests), (background, others)) = (mpsc::channel(QUEUE), mpsc::channel(QUEUE));
        let timer = Builder::new_current_thread().enable_time().build()?;
        let state = CommitThread {
            batches,
            requests,
            background: others,
            is_called,
            throttle: BackgroundThrottle::default(),
            timer,
            space_given_at: Duration::ZERO,
        };
        let thread = thread::Builder::new().name("storage-committer".to_owned()).spawn(move || state.run())?;
        let queues = Queues { foreground, background };
        Ok(Self { queues: Mutex::new(Some(queues)), thread: Mutex::new(Some(thread)) })
    }

    /// Makes a change; the moment at which it was made. A future dropped while the queue is full changes nothing;
    /// one dropped later leaves the change to happen or not, as a whole.
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

    /// Whether changes can be made.
    pub fn is_alive(&self) -> bool {
        self.queues().as_ref().is_some_and(|queues| !queues.foreground.is_closed())
    }

    /// Refuses further changes, makes those that are queued, and ends the thread.
    pub async fn close(&self) {
        drop(self.queues().take());
        if let Some(thread) = self.thread() {
            // Either fails only when the thread panicked or the runtime is going away.
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
    /// Changes of requests.
    requests: mpsc::Receiver<Request>,
    /// Changes that give way to them.
    background: mpsc::Receiver<Request>,
    /// Flag that requests set.
    is_called: Arc<AtomicBool>,
    throttle: BackgroundThrottle,
    /// Only ever waits for a change or a time.
    timer: Runtime,
    /// Time of the last return of free pages while requests went on, by the monotonic clock.
    space_given_at: Duration,
}

/// Event that the thread has waited for.
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

    /// Waits for the next event. Changes of requests come first; the others wait for the rest behind the last of them.
    #[expect(clippy::disallowed_methods, reason = "this thread waits for a disk, whatever time a test has")]
    fn next(&mut self, has_spare_pages: bool) -> Event {
        let now = self.batches.clock.monotonic();
        if self.is_called.swap(false, Ordering::Relaxed) {
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

    /// Adds background changes that are queued already, until they touch as many objects as they may.
    fn add_background(&mut self, batch: &mut Vec<Request>) {
        let max_objects = self.throttle.max_objects(self.batches.clock.monotonic());
        let mut objects = 0;
        while objects < max_objects {
            let Ok(next) = self.background.try_recv() else { break };
            objects += next.change.objects();
            batch.push(next);
        }
    }

    /// Makes a batch of changes. Returns whether there are free pages to give back.
    fn make(&mut self, batch: Vec<Request>, has_background: bool) -> rusqlite::Result<bool> {
        let began = self.batches.clock.monotonic();
        self.batches.make(batch);
        if has_background {
            self.throttle.note_work(began, self.batches.clock.monotonic());
        }
        self.maintain()
    }

    /// Does what must not wait for a pause. Returns whether there are free pages to give back.
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

    /// Has a long log moved.
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

    /// Gives free pages back until the next request comes. Returns whether more are left.
    fn give_space_back(&self) -> rusqlite::Result<bool> {
        let connection = &self.batches.connection;
        while self.requests.is_empty() && self.background.is_empty() {
            if !index::give_space_back(connection)? {
                // The file becomes shorter when the log is moved, not before.
                let _paused = self.batches.checkpointer.pause();
                index::move_log(connection)?;
                return Ok(false);
            }
            self.checkpoint_if_long()?;
        }
        Ok(true)
    }
}

/// Returns what is queued already, within limits. No request is waited for: while one batch is synced, the next gathers by itself.
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
