//! `kill -9` in the middle of everything, over and over.
//!
//! Eight writers write, overwrite and delete records of every size that matters. Each writes down, before a request,
//! what it is about to do, and after the answer that it is done. The program is killed at a random moment and started
//! again; then every record must be what was acknowledged last, or what was under way when the program died: whole in
//! both cases. Meanwhile readers hold every body they get against the version that its media type names.

use std::{
    collections::BTreeMap,
    io::Read,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::{
    client::{Answer, Client, Upload},
    folder,
    pattern::Pattern,
    program::{Program, TOKEN, pause, until},
    scale,
};

const WRITERS: usize = 8;
const READERS: usize = 2;

/// Records of each writer.
const KEYS: u64 = 5;

/// From this size in bytes a value is a row of the index, above it a file.
const INLINE: u64 = 64 * 1024;

/// Sizes of records in bytes, the biggest rarely: it takes as long as hundreds of others.
const SIZES: [u64; 6] = [0, 1, INLINE - 1, INLINE, INLINE + 1, 1 << 20];
const BIGGEST: u64 = 64 << 20;
const BIGGEST_EVERY: u64 = 40;

/// Changes in a round, on average, below which the test tests nothing.
const LEAST_CHANGES: u64 = 20;

/// Maximum duration of a start, with the few records there are here.
const MAX_START: Duration = Duration::from_secs(1);

/// State of a record, as far as its writer knows.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// State that was acknowledged last.
    acknowledged: State,
    /// State of the write that was in flight when the program died; the same if there was none.
    attempted: State,
}

impl Known {
    fn certainly(state: State) -> Self {
        Self { acknowledged: state, attempted: state }
    }
}

/// Value under a key: none, or a body.
pub type State = Option<Pattern>;

/// All records of a writer.
type Records = BTreeMap<String, Known>;

/// Tally of all writers.
#[derive(Debug, Default)]
struct Tally {
    /// Writes that were begun; each has its number as its version.
    writes: AtomicU64,
    /// Writes and deletes that were acknowledged.
    acknowledged: AtomicU64,
}

/// A repeatable sequence of choices.
pub struct Choices(pub u64);

impl Choices {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn whatever_was_acknowledged_survives_kill_9_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let tally = Tally::default();
    let mut choices = Choices(42);
    let mut writers: Vec<Records> = (0..WRITERS).map(records_of_writer).collect();
    for round in 0..scale::crash_rounds() {
        let program = Program::serve(folder.path(), &[]);
        assert!(program.start_time < MAX_START, "round {round}: the start took {:?}", program.start_time);
        let path = program.records_of("crashes");
        verify(&program, &path, &mut writers, round);
        nothing_is_left_behind(folder.path(), &writers);
        let life = Duration::from_millis(50 + choices.below(1500));
        let seeds = choices.below(u64::MAX);
        hammer(program, &path, &mut writers, &tally, seeds, life);
    }
    let program = Program::serve(folder.path(), &[]);
    let path = program.records_of("crashes");
    verify(&program, &path, &mut writers, usize::MAX);
    nothing_is_left_behind(folder.path(), &writers);
    assert!(program.stop().status.success());
    let (rounds, acknowledged) = (scale::crash_rounds() as u64, tally.acknowledged.load(Relaxed));
    println!("{rounds} crashes, {acknowledged} acknowledged changes, {} attempted writes", tally.writes.load(Relaxed));
    assert!(acknowledged >= rounds * LEAST_CHANGES, "only {acknowledged} changes: the test proves nothing");
}

fn records_of_writer(writer: usize) -> Records {
    (0..KEYS).map(|key| (format!("writer-{writer}-key-{key}"), Known::certainly(None))).collect()
}

/// Writes until the program is killed, after `life`.
fn hammer(program: Program, path: &str, writers: &mut [Records], tally: &Tally, seeds: u64, life: Duration) {
    let address = program.address;
    let is_over = AtomicBool::new(false);
    let keys: Vec<String> = writers.iter().flat_map(|records| records.keys().cloned()).collect();
    thread::scope(|scope| {
        for (writer, records) in writers.iter_mut().enumerate() {
            let choices = Choices(seeds ^ (writer as u64 + 1).rotate_left(40));
            scope.spawn(move || write_until_killed(address, path, records, tally, choices));
        }
        for reader in 0..READERS {
            let (keys, is_over) = (&keys, &is_over);
            let choices = Choices(seeds ^ (reader as u64 + 100).rotate_left(40));
            scope.spawn(move || read_until_killed(address, path, keys, is_over, choices));
        }
        pause(life);
        is_over.store(true, Relaxed);
        program.kill();
    });
}

fn write_until_killed(address: SocketAddr, path: &str, records: &mut Records, tally: &Tally, mut choices: Choices) {
    let Ok(mut client) = Client::connect(address, TOKEN) else { return };
    let keys: Vec<String> = records.keys().cloned().collect();
    loop {
        let key = &keys[usize::try_from(choices.below(KEYS)).expect("a small number")];
        let record = format!("{path}/{key}");
        let wanted = (choices.below(4) > 0).then(|| {
            let biggest = choices.below(BIGGEST_EVERY) == 0;
            let size = SIZES[usize::try_from(choices.below(SIZES.len() as u64)).expect("a small number")];
            Pattern { version: tally.writes.fetch_add(1, Relaxed), length: if biggest { BIGGEST } else { size } }
        });
        let known = records.get_mut(key).expect("it is one of them");
        known.attempted = wanted;
        let answered = match wanted {
            Some(pattern) => put(&mut client, &record, pattern, choices.below(4) == 0),
            None => client.send("DELETE", &record, "text/plain", Upload::None).and_then(|answer| {
                let status = answer.status;
                answer.text().map(|text| (status, text))
            }),
        };
        match answered {
            Ok((200 | 201 | 204, _)) => *known = Known::certainly(wanted),
            // A record that was not there is as good as deleted.
            Ok((404, _)) if wanted.is_none() => *known = Known::certainly(None),
            Ok((status, text)) => panic!("{record}: {status} {text}"),
            Err(_) => return,
        }
        tally.acknowledged.fetch_add(1, Relaxed);
    }
}

fn put(client: &mut Client, record: &str, pattern: Pattern, is_chunked: bool) -> std::io::Result<(u16, String)> {
    let mut body = pattern.reader();
    let upload = if is_chunked { Upload::Chunked(&mut body) } else { Upload::Known(pattern.length, &mut body) };
    let answer = client.send("PUT", record, &media_type(pattern), upload)?;
    let status = answer.status;
    answer.text().map(|text| (status, text))
}

/// The media type carries the version, so that a reader knows which bytes must follow.
pub fn media_type(pattern: Pattern) -> String {
    format!("application/x-version-{}-of-{}", pattern.version, pattern.length)
}

fn pattern_of(media_type: &str) -> Option<Pattern> {
    let (version, length) = media_type.strip_prefix("application/x-version-")?.split_once("-of-")?;
    Some(Pattern { version: version.parse().ok()?, length: length.parse().ok()? })
}

/// Reads the records while they are written, until the program dies. No body may be half of anything.
fn read_until_killed(address: SocketAddr, path: &str, keys: &[String], is_over: &AtomicBool, mut choices: Choices) {
    let Ok(mut client) = Client::connect(address, TOKEN) else { return };
    loop {
        let key = &keys[usize::try_from(choices.below(keys.len() as u64)).expect("a small number")];
        let Ok(answer) = client.send("GET", &format!("{path}/{key}"), "text/plain", Upload::None) else { return };
        match read(answer) {
            Ok(_) => {}
            // The end of the program is the end of the body.
            Err(_) if is_over.load(Relaxed) => return,
            Err(message) => panic!("{key}: {message}"),
        }
    }
}

/// Returns the version that a record has, checked to its last byte; `None` if it is absent.
pub fn read(mut answer: Answer<'_>) -> Result<State, String> {
    match answer.status {
        404 => {
            answer.body.read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
            Ok(None)
        }
        200 => {
            let media_type = answer.header("content-type").unwrap_or_default().to_owned();
            let pattern = pattern_of(&media_type).ok_or_else(|| format!("its media type is {media_type:?}"))?;
            pattern.check(&mut answer.body)?;
            Ok(Some(pattern))
        }
        status => Err(format!("the answer is {status}")),
    }
}

/// Checks every record against its writer's knowledge, and learns which of two possible outcomes it was.
fn verify(program: &Program, path: &str, writers: &mut [Records], round: usize) {
    let mut client = program.client();
    for (key, known) in writers.iter_mut().flatten() {
        let answer = client.send("GET", &format!("{path}/{key}"), "text/plain", Upload::None).expect("it answers");
        let found = read(answer).unwrap_or_else(|message| panic!("round {round}, {key}, {known:?}: {message}"));
        assert!(
            found == known.acknowledged || found == known.attempted,
            "round {round}, {key}: found {found:?}, known was {known:?}"
        );
        *known = Known::certainly(found);
    }
}

fn nothing_is_left_behind(folder: &Path, writers: &[Records]) {
    let is_large = |known: &&Known| known.acknowledged.is_some_and(|pattern| pattern.length > INLINE);
    let large = writers.iter().flat_map(Records::values).filter(is_large).count();
    until("only what is referenced is left in the folder", || {
        folder::unfinished(folder) == 0 && folder::large_values(folder) == large
    });
}
