//! Workload on the data folder, in a process of its own, and the diary in which that process records it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use larder_object_store::{ObjectStore, Precondition, PutOptions, embedded::INLINE_LIMIT};
use larder_runtime::clock::{SeededRandom, SystemClock};

use crate::{
    random_operations::Dice,
    stores,
    values::{stream_of, typed, value},
};

use super::{
    image::{Expected, Stored},
    trace::{CALLS, Call, Event, parse},
};

/// Tasks that work side by side, each on keys of its own.
const TASKS: usize = 4;
/// Keys of a task.
const KEYS: usize = 6;
/// Operations of a task between two starts.
const OPERATIONS: usize = 14;
/// Times at which the folder is opened.
const STARTS: usize = 3;

/// Variable that names the folder of the process.
const ROOM: &str = "POWER_LOSS_ROOM";
const SEED: &str = "POWER_LOSS_SEED";

/// Runs a process on `room`, by `seed`, and returns its events on files.
pub fn trace(room: &Path, seed: u64) -> Vec<Event> {
    let (disk, trace) = (room.join("disk"), room.join("trace"));
    let _ = fs::remove_dir_all(&disk);
    fs::create_dir(&disk).unwrap();
    let output = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "33554432", "--quiet=all", "-e", &format!("trace={CALLS}"), "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "power_loss::workload::under_strace", "--ignored"])
        .env(ROOM, room)
        .env(SEED, seed.to_string())
        .output()
        .expect("strace is missing; install it with: apt-get install strace");
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && words.contains("1 passed"),
        "{words}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let trace_text = fs::read_to_string(&trace).unwrap();
    fs::remove_file(&trace).unwrap();
    fs::remove_dir_all(&disk).unwrap();
    let (disk, diary) = (disk.to_str().unwrap().to_owned(), diary_in(room));
    // The index's shared memory and the disk reserve need not survive anything.
    let is_of_interest = |path: &str| {
        Path::new(path) == diary || path.starts_with(&disk) && !path.ends_with("-shm") && !path.ends_with("/reserve")
    };
    parse(&trace_text, is_of_interest)
}

fn diary_in(room: &Path) -> PathBuf {
    room.join("diary")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "what_was_acknowledged_survives_a_loss_of_power_at_any_moment traces it"]
async fn under_strace() {
    let variable = |name| std::env::var(name).expect("it is run by the test that traces it");
    let (room, seed) = (PathBuf::from(variable(ROOM)), variable(SEED).parse::<u64>().unwrap());
    let diary = File::options().create(true).truncate(true).write(true).open(diary_in(&room)).unwrap();
    let work = Arc::new(Work { diary, next: AtomicUsize::new(0) });
    for start in 0..STARTS {
        let store = Arc::new(stores::open(&room.join("disk/data"), Arc::new(SystemClock)).unwrap());
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let dice = Dice(SeededRandom::new(seed * 1000 + (start * TASKS + task) as u64));
                let (work, store) = (Arc::clone(&work), Arc::clone(&store));
                tokio::spawn(async move {
                    for _ in 0..OPERATIONS {
                        work.operate(store.as_ref(), task, &dice).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        store.close().await;
    }
}

struct Work {
    diary: File,
    next: AtomicUsize,
}

impl Work {
    async fn operate(&self, store: &dyn ObjectStore, task: usize, dice: &Dice) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let key = |at: usize| format!("task-{task}/key-{at}");
        let (one, other) = (key(dice.below(KEYS)), key(dice.below(KEYS)));
        match dice.below(10) {
            0..=5 => {
                let size = dice.one_of(&[0, 100, 256, 257, 5000, INLINE_LIMIT, INLINE_LIMIT + 1, 150_000]);
                self.begin(number, &format!("put {one} {size}"));
                let options = PutOptions { attributes: typed(&media_type(number)), ..PutOptions::default() };
                store.put(&one, stream_of(&value(number as u64, size)), options).await.unwrap();
            }
            6 => {
                self.begin(number, &format!("delete {one}"));
                store.delete(&one, Precondition::None).await.unwrap();
            }
            7 => {
                self.begin(number, &format!("delete {one} {other}"));
                store.delete_many(vec![one, other]).await.unwrap();
            }
            _ => {
                self.begin(number, &format!("copy {one} {other}"));
                // A copy of a missing object fails, and changes nothing.
                let _ = store.copy(&one, &other, Precondition::None).await;
            }
        }
        self.write(&format!("end {number}\n"));
    }

    fn begin(&self, number: usize, what: &str) {
        self.write(&format!("begin {number} {what}\n"));
    }

    /// In one call, so that lines of several tasks do not mix.
    fn write(&self, line: &str) {
        assert_eq!((&self.diary).write(line.as_bytes()).unwrap(), line.len());
    }
}

/// Returns the media type of the object that the operation `number` stores.
pub fn media_type(number: usize) -> String {
    format!("text/{number}")
}

/// Operations of the process, each with its start and its acknowledgement.
pub struct Diary(Vec<Entry>);

struct Entry {
    begun: usize,
    ended: usize,
    /// States of keys from then on.
    states: Vec<(String, Option<Stored>)>,
}

impl Diary {
    /// Reads the diary from the lines that were written to it.
    pub fn of(events: &[Event]) -> Self {
        let mut entries: BTreeMap<usize, Entry> = BTreeMap::new();
        let mut now: BTreeMap<String, Option<Stored>> = BTreeMap::new();
        for event in events {
            let Call::Write { path, bytes, .. } = &event.call else { continue };
            if path.file_name().is_none_or(|name| name != "diary") {
                continue;
            }
            let line = String::from_utf8(bytes.clone()).unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            let number: usize = words[1].parse().unwrap();
            if words[0] == "end" {
                entries.get_mut(&number).unwrap().ended = event.begun;
                continue;
            }
            let states = states(number, &words[2..], &now);
            now.extend(states.iter().cloned());
            entries.insert(number, Entry { begun: event.begun, ended: usize::MAX, states });
        }
        Self(entries.into_values().collect())
    }

    /// Returns the required state of each key after a loss of power at this moment.
    pub fn expected(&self, moment: usize) -> Expected {
        let mut expected = Expected::default();
        for entry in self.0.iter().filter(|entry| entry.begun < moment) {
            for (key, state) in &entry.states {
                expected.note(key, *state, entry.ended < moment);
            }
        }
        expected
    }
}

fn states(number: usize, words: &[&str], now: &BTreeMap<String, Option<Stored>>) -> Vec<(String, Option<Stored>)> {
    match words {
        ["put", key, size] => vec![((*key).to_owned(), Some(Stored { number, size: size.parse().unwrap() }))],
        ["delete", keys @ ..] => keys.iter().map(|key| ((*key).to_owned(), None)).collect(),
        ["copy", from, to] => match now.get(*from).copied().flatten() {
            Some(copied) => vec![((*to).to_owned(), Some(copied))],
            None => Vec::new(),
        },
        _ => panic!("a strange line: {words:?}"),
    }
}
