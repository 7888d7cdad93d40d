//! What becomes of the data folder while the program serves from it, seen from outside.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use crate::figures::Outcome;

/// From one look to the next: seldom enough to cost next to nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// The most looks: an hour.
const MAX_LOOKS: usize = 36_000;

/// Pages by which the index may become emptier without a sweep.
const SLACK_PAGES: i64 = 64;

/// The prefix of records of unnamed stores.
const PREFIX: &str = "larder/passing/";

/// The folder at some moment.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// When.
    pub at: Instant,
    /// Pages of the index that hold something.
    pub used_pages: i64,
    /// Pages of the index in all.
    pub pages: i64,
    /// Whether any record of an unnamed store is left.
    pub has_records: bool,
}

/// What happened when, as far as it has happened.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// The first look that found fewer records.
    pub began: Option<Instant>,
    /// The first look that found none.
    pub emptied: Option<Instant>,
    /// The first look that found the index as short as it is at the end.
    pub shortened: Option<Instant>,
}

/// Looks at a folder again and again, on a thread of its own.
#[derive(Debug)]
pub struct Watch {
    thread: JoinHandle<Outcome<Vec<Look>>>,
    is_over: Arc<AtomicBool>,
    is_emptied: Arc<AtomicBool>,
}

impl Watch {
    /// Begins to look at the data folder `data`.
    pub fn begin(data: &Path) -> Outcome<Self> {
        let index = data.join("index.sqlite");
        let (is_over, is_emptied) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let flags = [Arc::clone(&is_over), Arc::clone(&is_emptied)];
        let thread = thread::Builder::new().spawn(move || look_on(&index, &flags))?;
        Ok(Self { thread, is_over, is_emptied })
    }

    /// Whether no record of an unnamed store was left at the last look.
    pub fn is_emptied(&self) -> bool {
        self.is_emptied.load(Ordering::Relaxed)
    }

    /// Looks no more; what it has seen.
    pub fn end(self) -> Outcome<Vec<Look>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the watch has panicked")?
    }
}

impl Course {
    /// The course that `looks` show.
    pub fn of(looks: &[Look]) -> Self {
        let most = looks.iter().map(|look| look.used_pages).max().unwrap_or_default();
        let is_fuller = |look: &&Look| look.used_pages < most - SLACK_PAGES;
        // The fullest moment may come late, when others write; what counts is the way down behind it.
        let from = looks.iter().position(|look| look.used_pages == most).unwrap_or_default();
        let began = looks[from..].iter().find(is_fuller).map(|look| look.at);
        let emptied = looks.iter().find(|look| !look.has_records).map(|look| look.at);
        let end = looks.last().map(|look| look.pages + SLACK_PAGES).unwrap_or_default();
        let shortened = looks.iter().find(|look| emptied.is_some_and(|at| look.at >= at) && look.pages <= end);
        Self { began, emptied, shortened: shortened.map(|look| look.at) }
    }
}

fn look_on(index: &PathBuf, [is_over, is_emptied]: &[Arc<AtomicBool>; 2]) -> Outcome<Vec<Look>> {
    let connection = Connection::open_with_flags(index, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut looks = Vec::with_capacity(MAX_LOOKS);
    while !is_over.load(Ordering::Relaxed) && looks.len() < MAX_LOOKS {
        let look = look(&connection)?;
        is_emptied.store(!look.has_records, Ordering::Relaxed);
        looks.push(look);
        thread::park_timeout(PAUSE);
    }
    Ok(looks)
}

fn look(connection: &Connection) -> Outcome<Look> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let pages = number("page_count")?;
    let used_pages = pages - number("freelist_count")?;
    let (from, to) = (PREFIX.as_bytes(), [PREFIX.as_bytes(), &[0xff]].concat());
    let has_records = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM objects WHERE key > ?1 AND key < ?2)")?
        .query_row((from, to), |row| row.get(0))?;
    Ok(Look { at: Instant::now(), used_pages, pages, has_records })
}

/// Bytes that the folder takes on the disk.
pub fn bytes(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // A file may go while it is counted.
        bytes += if path.is_dir() { self::bytes(&path)? } else { fs::metadata(&path).map_or(0, |found| found.len()) };
    }
    Ok(bytes)
}
