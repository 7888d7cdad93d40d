//! Stores that are named, un-named and given another retention under constant reads, writes and deletes, while the gateway that
//! moves their records is killed or paused at every step.
//!
//! Afterwards each record is what was acknowledged last, or what was under way and never answered; nothing is left where the
//! records were before.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    client::{Client, Upload},
    cluster::Cluster,
    crash_recovery::{Choices, State, media_type, read},
    orphans::Backend,
    pattern::Pattern,
    program::{now, pause},
    scale,
};

/// Stores that are changed at the same time.
const STORES: usize = 2;

/// Writers and readers of one store; each writer has its own records.
const WRITERS: u64 = 2;

/// Maximum wait of a write: twenty seconds while records arrive, and the object store itself.
const LONGEST_WRITE: Duration = Duration::from_secs(30);

/// Maximum duration of a relocation whose gateway was killed: a minute until another takes it over, and its own time.
const LONGEST_MOVE: Duration = Duration::from_mins(4);

/// Duration of a gateway's pause: longer than the staleness bound of its views.
const PAUSE_DURATION: Duration = Duration::from_secs(8);

/// Changes that move a store, in turn and over again.
const STEPS: [&str; 4] =
    [r#"{"name":"NAME"}"#, r#"{"name":null,"retentionDays":7}"#, r#"{"retentionDays":30}"#, r#"{"retentionDays":90}"#];

/// At what a gateway is disturbed.
const PHASES: [&str; 3] = ["FROZEN", "COPYING", "ARRIVING"];

/// All that a record may be.
type Possible = Vec<State>;

/// A store, and the possible values of its records.
struct Store {
    path: String,
    name: String,
    writers: Vec<Mutex<BTreeMap<String, Possible>>>,
}

/// State shared by all writers and readers.
struct Traffic<'a> {
    site: &'a Cluster,
    versions: AtomicU64,
    is_over: AtomicBool,
    /// `true` if the first gateway is dead or paused, or was so a moment ago.
    is_disturbed: AtomicBool,
    wrong: Mutex<Vec<String>>,
    acknowledged: AtomicU64,
}

#[test]
fn nothing_is_lost_while_stores_change_over_the_embedded_engine() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = Cluster::embedded(folder.path());
    let stores = change_under_traffic(&site);
    Backend::folder(folder.path()).holds_nothing_but(&stores);
}

#[cfg(feature = "s3")]
mod bucket {
    use super::change_under_traffic;
    use crate::{bucket::own_prefix, cluster::Cluster, orphans::Backend};

    #[test]
    fn nothing_is_lost_while_records_move_and_gateways_die() {
        let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("moves"));
        let site = Cluster::shared(folder.path(), &prefix);
        let stores = change_under_traffic(&site);
        Backend::bucket(&prefix).holds_nothing_but(&stores);
    }
}

/// Changes stores in every way under traffic, with a gateway that is killed and paused; then checks that every record
/// has a possible value. Returns the stores' ids, and the number of records of each.
fn change_under_traffic(site: &Cluster) -> Vec<(String, usize)> {
    let stores: Vec<Store> = (0..STORES).map(|number| store(site, number)).collect();
    let traffic = Traffic {
        site,
        versions: AtomicU64::new(1),
        is_over: AtomicBool::new(false),
        is_disturbed: AtomicBool::new(false),
        wrong: Mutex::default(),
        acknowledged: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        for (number, store) in (1..).zip(&stores) {
            for writer in 0..store.writers.len() {
                let choices = Choices(number * 1000 + writer as u64);
                let traffic = &traffic;
                scope.spawn(move || traffic.write(store, writer, choices));
            }
            let (traffic, choices) = (&traffic, Choices(number * 77));
            scope.spawn(move || traffic.read(store, choices));
        }
        for round in 0..scale::move_rounds() {
            traffic.round(&stores, round);
        }
        traffic.is_over.store(true, Relaxed);
    });
    let mut counts = Vec::new();
    for store in &stores {
        counts.push((store.path.rsplit('/').nth(1).expect("an id").to_owned(), verify(site, store, &traffic)));
    }
    let logged = site.stop();
    let wrong = traffic.wrong.into_inner().expect("no thread panicked");
    assert!(wrong.is_empty(), "{} things are wrong:\n{}\n{logged}", wrong.len(), wrong.join("\n"));
    let acknowledged = traffic.acknowledged.load(Relaxed);
    assert!(acknowledged > 100, "only {acknowledged} changes: that is no test");
    counts
}

fn store(site: &Cluster, number: usize) -> Store {
    let mut client = site.first();
    let made = client.send("POST", "/v2/key-value-stores", "application/json", Upload::None).expect("it answers");
    let made: serde_json::Value = serde_json::from_str(&made.text().expect("a body")).expect("JSON");
    let path = format!("/v2/key-value-stores/{}/records", made["data"]["id"].as_str().expect("an id"));
    let each = scale::move_records() as u64 / WRITERS;
    let keys = |writer| (0..each).map(move |key| (format!("w{writer}-{key}"), vec![None])).collect();
    let mut writers: Vec<_> = (0..WRITERS).map(|writer| Mutex::new(keys(writer))).collect();
    writers.push(Mutex::new(BTreeMap::from([("straddling".to_owned(), vec![None])])));
    for writer in &mut writers {
        for (version, (key, possible)) in (1_000_000_000..).zip(writer.get_mut().expect("no thread holds it")) {
            let pattern = Pattern { version, length: version % 3000 };
            let status = put(&mut client, &format!("{path}/{key}"), pattern).expect("it answers");
            assert_eq!(status, 201);
            *possible = vec![Some(pattern)];
        }
    }
    Store { path, name: format!("moved-{number}"), writers }
}

fn put(client: &mut Client, record: &str, pattern: Pattern) -> std::io::Result<u16> {
    let mut body = pattern.reader();
    let answer = client.send("PUT", record, &media_type(pattern), Upload::Known(pattern.length, &mut body))?;
    let status = answer.status;
    answer.text().map(|_| status)
}

impl Traffic<'_> {
    /// Changes every store, and disturbs the first gateway when one of them is in a certain phase; waits until no store
    /// moves.
    fn round(&self, stores: &[Store], round: usize) {
        let step = STEPS[round % STEPS.len()];
        thread::scope(|scope| {
            for store in stores {
                scope.spawn(|| self.straddle(store, round));
            }
            pause(Duration::from_millis(500));
            for store in stores {
                self.change(store, &step.replace("NAME", &store.name));
            }
            let phase = PHASES[round % PHASES.len()];
            let watched = &stores[round % stores.len()];
            let began = now();
            // Over a folder nothing moves: any moment is as good.
            while self.site.prefix.is_some() && Self::phase(self.site.first(), watched).as_deref() != Some(phase) {
                if began.elapsed() > LONGEST_MOVE {
                    self.blame(format!("round {round}: {} was never seen {phase}", watched.name));
                    break;
                }
                pause(Duration::from_millis(5));
            }
            self.is_disturbed.store(true, Relaxed);
            if round.is_multiple_of(2) {
                self.site.kill();
                pause(Duration::from_secs(1));
                self.site.restart();
            } else {
                self.site.signal(Signal::STOP);
                pause(PAUSE_DURATION);
                self.site.signal(Signal::CONT);
            }
            pause(Duration::from_millis(500));
            self.is_disturbed.store(false, Relaxed);
            for store in stores {
                let began = now();
                while self.is_moving(store) {
                    if began.elapsed() > LONGEST_MOVE {
                        self.blame(format!("round {round}: {} still moves after {LONGEST_MOVE:?}", store.name));
                        break;
                    }
                    pause(Duration::from_millis(200));
                }
            }
        });
    }

    fn change(&self, store: &Store, body: &str) {
        let path = store.path.trim_end_matches("/records");
        let mut client = self.site.first();
        let began = now();
        let sent = client.send("PUT", path, "application/json", Upload::Known(body.len() as u64, &mut body.as_bytes()));
        let status = sent.expect("it answers").status;
        if status != 200 || began.elapsed() > Duration::from_secs(2) {
            self.blame(format!("{body}: {status} after {:?}", began.elapsed()));
        }
    }

    /// In which phase of a move a store is, as the object says.
    fn phase(mut client: Client, store: &Store) -> Option<String> {
        let path = store.path.trim_end_matches("/records");
        let object = client.send("GET", path, "", Upload::None).ok()?.text().ok()?;
        let object: serde_json::Value = serde_json::from_str(&object).ok()?;
        object["data"]["move"]["phase"].as_str().map(str::to_owned)
    }

    /// Returns `true` if one of the gateways reports that the store moves.
    fn is_moving(&self, store: &Store) -> bool {
        let gateways = 0..2;
        gateways
            .into_iter()
            .any(|gateway| self.site.client(gateway).is_some_and(|client| Self::phase(client, store).is_some()))
    }

    /// An upload that begins before a step and ends after it.
    fn straddle(&self, store: &Store, round: usize) {
        let Some(mut client) = self.site.client(round as u64) else { return };
        let version = self.versions.fetch_add(1, Relaxed);
        let pattern = Pattern { version, length: 1 << 20 };
        let mut records = store.writers.last().expect("it has a record").lock().expect("no thread panicked");
        let possible = records.get_mut("straddling").expect("it is there");
        possible.push(Some(pattern));
        let head = format!("content-type: {}\r\ncontent-length: {}\r\n", media_type(pattern), pattern.length);
        let mut body = vec![0; 1 << 20];
        pattern.fill(0, &mut body);
        let sent = client.begin("PUT", &format!("{}/straddling", store.path), &head);
        let halves = sent.and_then(|()| client.write(&body[..1 << 19])).and_then(|()| {
            pause(Duration::from_secs(4 + round as u64 % 3 * 3));
            client.write(&body[1 << 19..])
        });
        match halves.and_then(|()| client.answer(false).map(|answer| answer.status)) {
            Ok(201) => *possible = vec![Some(pattern)],
            Ok(503) | Err(_) => {}
            Ok(status) => self.blame(format!("a straddling upload: {status}")),
        }
    }

    /// Writes, deletes and reads back records of its own.
    fn write(&self, store: &Store, writer: usize, mut choices: Choices) {
        let mut client = None;
        let keys: Vec<String> = store.writers[writer].lock().expect("no thread panicked").keys().cloned().collect();
        if keys == ["straddling"] {
            return;
        }
        while !self.is_over.load(Relaxed) {
            let Some(connected) = client.take().or_else(|| self.site.client(choices.below(2))) else {
                pause(Duration::from_millis(20));
                continue;
            };
            let mut connected = connected;
            let key = &keys[usize::try_from(choices.below(keys.len() as u64)).expect("a small number")];
            let record = format!("{}/{key}", store.path);
            let version = self.versions.fetch_add(1, Relaxed);
            let wanted = (choices.below(4) > 0).then_some(Pattern { version, length: choices.below(5000) });
            let mut records = store.writers[writer].lock().expect("no thread panicked");
            let possible = records.get_mut(key).expect("it is its own");
            let (began, was_disturbed) = (now(), self.is_disturbed.load(Relaxed));
            let answered = match wanted {
                Some(pattern) => put(&mut connected, &record, pattern),
                None => connected.send("DELETE", &record, "", Upload::None).map(|answer| answer.status),
            };
            let is_disturbed = was_disturbed || self.is_disturbed.load(Relaxed);
            if began.elapsed() > LONGEST_WRITE && !is_disturbed {
                self.blame(format!("a write waited for {:?}", began.elapsed()));
            }
            match answered {
                Ok(200 | 201 | 204) => {
                    *possible = vec![wanted];
                    self.acknowledged.fetch_add(1, Relaxed);
                    client = Some(connected);
                }
                Ok(503) | Err(_) => {
                    possible.push(wanted);
                    // Writes in flight in the killed gateway may yet arrive: they must not meet the next ones.
                    drop(records);
                    pause(Duration::from_secs(1));
                }
                Ok(status) => self.blame(format!("{record}: {status}")),
            }
            // One change in a while: the machine has more to do.
            pause(Duration::from_millis(choices.below(20)));
        }
    }

    /// Reads records: each must be whole, from whatever location.
    fn read(&self, store: &Store, mut choices: Choices) {
        while !self.is_over.load(Relaxed) {
            let Some(mut client) = self.site.client(choices.below(2)) else {
                pause(Duration::from_millis(20));
                continue;
            };
            for _ in 0..20 {
                let key =
                    format!("w{}-{}", choices.below(WRITERS), choices.below(scale::move_records() as u64 / WRITERS));
                let was_disturbed = self.is_disturbed.load(Relaxed);
                let Ok(answer) = client.send("GET", &format!("{}/{key}", store.path), "", Upload::None) else { break };
                if let Err(message) = read(answer)
                    && !was_disturbed
                    && !self.is_disturbed.load(Relaxed)
                {
                    self.blame(format!("reading {key}: {message}"));
                    break;
                }
                pause(Duration::from_millis(5));
            }
        }
    }

    fn blame(&self, what: String) {
        self.wrong.lock().expect("no thread panicked").push(what);
    }
}

/// Checks that every record has a possible value. Returns their number.
fn verify(site: &Cluster, store: &Store, traffic: &Traffic<'_>) -> usize {
    let (mut client, mut count) = (site.first(), 0);
    for writer in &store.writers {
        for (key, possible) in writer.lock().expect("no thread panicked").iter() {
            let answer = client.send("GET", &format!("{}/{key}", store.path), "", Upload::None).expect("it answers");
            match read(answer) {
                Ok(found) if possible.contains(&found) => count += usize::from(found.is_some()),
                found => traffic.blame(format!("{key} of {} is {found:?}, and not one of {possible:?}", store.name)),
            }
        }
    }
    count
}
