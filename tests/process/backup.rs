//! `larder backup` and `larder restore`: a backup under load is of one instant, and one that was broken off is none.
//!
//! Each writer counts up in one record, then in another one of another store: at any instant the first is ahead of the
//! second by one or not at all. Some of the numbers are in values large enough to be files, which are replaced all the
//! time. Other writers delete, one record after the other in a known order, so that at any instant the remaining
//! records are the end of that order.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
};

use crate::{
    client::{Client, Upload},
    folder,
    program::{Ended, Program, TOKEN, WAIT_TIMEOUT, behind, command, now, run, until},
    watcher::Watched,
};

const WRITERS: usize = 3;

/// Bytes that values are filled up to: a row, a value in the index, a file.
const SIZES: [usize; 3] = [10, 2_000, 100_000];

/// Values that are deleted while a backup is taken, and their size.
const DOOMED: usize = 400;
const DOOMED_BYTES: usize = 70_000;

/// Backups that are taken one after the other.
const ROUNDS: usize = 3;

/// Progress of a writer.
#[derive(Default)]
struct Count {
    begun: AtomicU64,
    acknowledged: AtomicU64,
}

fn put(client: &mut Client, path: &str, text: &str) {
    let body = Upload::Known(text.len() as u64, &mut text.as_bytes());
    let answer = client.send("PUT", path, "text/plain", body).expect("an answer");
    assert_eq!(answer.status, 201);
    answer.text().expect("its end");
}

fn get(client: &mut Client, path: &str) -> Option<String> {
    let answer = client.send("GET", path, "", Upload::None).expect("an answer");
    let is_there = answer.status == 200;
    assert!(is_there || answer.status == 404, "{}", answer.status);
    let text = answer.text().expect("its end");
    is_there.then_some(text)
}

/// Returns the value of a number: the number, with padding.
fn value(number: u64) -> String {
    let size = SIZES[usize::try_from(number).unwrap_or_default() % SIZES.len()];
    let digits = number.to_string();
    let rest = ".".repeat(size - digits.len());
    digits + &rest
}

fn number(client: &mut Client, path: &str) -> u64 {
    let text = get(client, path).unwrap_or_else(|| "0".to_owned());
    let number = text.trim_end_matches('.').parse().expect("a number");
    assert!(number == 0 || text == value(number), "{path} is mixed");
    number
}

/// Returns the command, with its output discarded.
fn back_up(folder: &Path, target: &str) -> Command {
    let mut command = back_up_loudly(folder, target);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Returns the command, with its output.
fn back_up_loudly(folder: &Path, target: &str) -> Command {
    command(folder, &["backup", target])
}

fn said(ended: &Ended) -> String {
    format!("{:?} {} {}", ended.status.code(), ended.stdout.join("\n"), ended.stderr)
}

fn succeeds(ended: &Ended) {
    assert!(ended.status.success(), "{}", said(ended));
}

/// Restores a backup into a folder of its own, and serves from it.
fn restored(work: &Path, backup: &str, name: &str) -> Program {
    let place = work.join(name);
    fs::create_dir(&place).expect("a folder");
    succeeds(&run(command(&place, &["restore", &work.join(backup).display().to_string()])));
    succeeds(&run(command(&place, &["check", "--data"])));
    Program::serve(&place, &[])
}

fn count_up(mut client: Client, [first, second]: [&str; 2], writer: usize, count: &Count, is_over: &AtomicBool) {
    let mut number = 0;
    while !is_over.load(SeqCst) {
        number += 1;
        count.begun.store(number, SeqCst);
        put(&mut client, &format!("{first}/w{writer}"), &value(number));
        put(&mut client, &format!("{second}/w{writer}"), &value(number));
        count.acknowledged.store(number, SeqCst);
    }
}

fn fill(client: &mut Client, records: &str, round: usize) {
    for at in 0..DOOMED {
        put(client, &format!("{records}/doomed-{at:03}"), &format!("{round}-{at}:").repeat(DOOMED_BYTES / 6));
    }
}

/// Takes a backup and deletes in order meanwhile. Returns the number of deletions at its end, and whether it succeeded.
fn delete_during(client: &mut Client, records: &str, mut backup: Command) -> (usize, bool) {
    let mut process = Watched::new(backup.spawn().expect("it starts"));
    let mut deleted = 0;
    let began = now();
    let status = loop {
        if let Some(status) = process.try_wait().expect("it can be waited for") {
            break status;
        }
        assert!(began.elapsed() < WAIT_TIMEOUT, "the backup does not end");
        if deleted < DOOMED {
            let answer = client.send("DELETE", &format!("{records}/doomed-{deleted:03}"), "", Upload::None);
            assert_eq!(answer.expect("an answer").status, 204);
            deleted += 1;
        }
    };
    (deleted, status.success())
}

#[test]
fn a_backup_under_load_restores_to_what_was_there_at_one_instant() {
    let work = tempfile::tempdir().expect("a folder");
    let live = work.path().join("live");
    fs::create_dir(&live).expect("a folder");
    let program = Program::serve(&live, &[]);
    let [first, second] = ["first", "second"].map(|name| program.records_of(name));
    let (counts, is_over): ([Count; WRITERS], _) = (Default::default(), AtomicBool::new(false));
    let mut bounds = Vec::new();
    thread::scope(|scope| {
        for (writer, count) in counts.iter().enumerate() {
            let (client, is_over, stores) = (program.client(), &is_over, [first.as_str(), second.as_str()]);
            scope.spawn(move || count_up(client, stores, writer, count, is_over));
        }
        let mut client = program.client();
        for round in 0..ROUNDS {
            fill(&mut client, &first, round);
            let least = counts.each_ref().map(|count| count.acknowledged.load(SeqCst));
            let target = format!("../backup-{round}");
            let (after, is_taken) = delete_during(&mut client, &first, back_up(&live, &target));
            let most = counts.each_ref().map(|count| count.begun.load(SeqCst));
            bounds.push((least, most, after, is_taken));
        }
        is_over.store(true, SeqCst);
    });
    // Files that the backups held are removed when the backups are over, without a restart.
    until("what was held is removed", || folder::large_values(&live) <= DOOMED + 2 * WRITERS);
    program.stop();

    for (round, (least, most, after, is_taken)) in bounds.into_iter().enumerate() {
        assert!(is_taken && after > 0, "round {round}: taken {is_taken}, deleted {after}");
        let program = restored(work.path(), &format!("backup-{round}"), &format!("restored-{round}"));
        let mut client = program.client();
        for writer in 0..WRITERS {
            let a = number(&mut client, &format!("{first}/w{writer}"));
            let b = number(&mut client, &format!("{second}/w{writer}"));
            assert!(a == b || a == b + 1, "round {round}: {a} and {b} are of two instants");
            assert!(
                least[writer] <= b && a <= most[writer],
                "round {round}: {} {b} {a} {}",
                least[writer],
                most[writer]
            );
        }
        let left: Vec<bool> = (0..DOOMED)
            .map(|at| match get(&mut client, &format!("{first}/doomed-{at:03}")) {
                Some(text) => text == format!("{round}-{at}:").repeat(DOOMED_BYTES / 6) || panic!("{at} is mixed"),
                None => false,
            })
            .collect();
        let gone = left.iter().take_while(|is_left| !**is_left).count();
        assert!(left[gone..].iter().all(|is_left| *is_left), "round {round}: of two instants");
        assert!(gone <= after, "round {round}: {gone} are gone, {after} were deleted");
        // It goes on from there.
        put(&mut client, &format!("{first}/more"), "more");
        program.stop();
    }
}

#[test]
fn tokens_names_and_links_are_the_same_after_a_restore() {
    let work = tempfile::tempdir().expect("a folder");
    let live = work.path().join("live");
    fs::create_dir(&live).expect("a folder");
    let serve = |folder: &Path| Program::start(command(folder, &["serve", "--listen", "127.0.0.1:0"]));
    let program = serve(&live);
    let token = fs::read_to_string(folder::data(&live).join("admin-token")).expect("a token").trim().to_owned();
    let mut client = Client::connect(program.address, &token).expect("it listens");
    let mut ask = |method: &str, path: &str| {
        let answer = client.send(method, path, "application/json", Upload::None).expect("an answer");
        assert!(matches!(answer.status, 200 | 201), "{method} {path}: {}", answer.status);
        serde_json::from_str::<serde_json::Value>(&answer.text().expect("its end")).expect("JSON")["data"].take()
    };
    let store = ask("POST", "/v2/key-value-stores?name=shop");
    let keys = store["keysPublicUrl"].as_str().expect("a link").splitn(4, '/').nth(3).expect("a path").to_owned();
    let id = store["id"].as_str().expect("an id").to_owned();
    put(&mut client, "/v2/key-value-stores/~shop/records/a", "flour");
    succeeds(&run(back_up_loudly(&live, "../backup")));
    drop(client);
    program.stop();

    let place = work.path().join("restored");
    fs::create_dir(&place).expect("a folder");
    succeeds(&run(command(&place, &["restore", "../backup"])));
    let program = serve(&place);
    let mut client = Client::connect(program.address, &token).expect("it listens");
    assert_eq!(get(&mut client, "/v2/key-value-stores/~shop/records/a").as_deref(), Some("flour"));
    assert_eq!(get(&mut client, &format!("/v2/key-value-stores/{id}/records/a")).as_deref(), Some("flour"));
    let mut stranger = Client::connect(program.address, "wrong-token").expect("it listens");
    assert!(stranger.send("GET", "/v2/users/me", "", Upload::None).expect("an answer").status == 401);
    let list = open_link(program.address, &keys);
    assert!(list.contains("\"key\":\"a\""), "the signed link leads nowhere: {list}");
    program.stop();
}

/// Returns the record behind a link, as a client without a token gets it.
fn open_link(address: std::net::SocketAddr, path: &str) -> String {
    let mut client = Client::connect(address, TOKEN).expect("it listens");
    client.write(format!("GET /{path} HTTP/1.1\r\nhost: larder\r\n\r\n").as_bytes()).expect("it takes bytes");
    client.answer(false).expect("an answer").text().expect("its end")
}

#[test]
fn a_backup_that_is_killed_is_no_backup_and_holds_nothing_up() {
    let work = tempfile::tempdir().expect("a folder");
    let live = work.path().join("live");
    fs::create_dir(&live).expect("a folder");
    let program = Program::serve(&live, &[]);
    let records = program.records_of("first");
    let mut client = program.client();
    fill(&mut client, &records, 0);
    let mut backup = Watched::new(back_up(&live, "../backup").spawn().expect("it starts"));
    let files = work.path().join("backup/blobs");
    until("files are copied", || files.exists() && folder::files_below(&files).len() > 5);
    backup.kill().expect("it runs");
    assert!(!backup.wait().expect("it ends").success(), "it was too quick to be killed");
    let refused = run(command(work.path(), &["restore", "backup", "--data", "restored"]));
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("incomplete"), "{}", said(&refused));
    assert!(!work.path().join("restored").exists());
    let refused = run(command(work.path(), &["serve", "--data", "backup", "--listen", "127.0.0.1:0"]));
    assert!(refused.status.code() == Some(1), "{}", said(&refused));
    let refused = run(back_up_loudly(&live, "../backup"));
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("overwrites nothing"), "{}", said(&refused));
    // The hold died with it.
    for at in 0..DOOMED {
        let path = format!("{records}/doomed-{at:03}");
        assert_eq!(client.send("DELETE", &path, "", Upload::None).expect("an answer").status, 204);
    }
    until("the files of deleted records go", || folder::large_values(&live) == 0);
    succeeds(&run(back_up_loudly(&live, "../another")));
    program.stop();
}

#[test]
fn a_backup_that_does_not_fit_fails_and_leaves_nothing() {
    let work = tempfile::tempdir().expect("a folder");
    let live = work.path().join("live");
    fs::create_dir(&live).expect("a folder");
    let program = Program::serve(&live, &[]);
    let records = program.records_of("first");
    put(&mut program.client(), &format!("{records}/large"), &"x".repeat(2_000_000));
    // A limit on the size of files simulates a full disk; the signal that comes with it must be ignored.
    let full = run(behind("trap '' XFSZ; ulimit -f 1024", &command(&live, &["backup", "../b"])));
    assert!(full.status.code() == Some(1) && full.stderr.contains("is full"), "{}", said(&full));
    assert!(!work.path().join("b").exists(), "half a backup was left");
    assert_eq!(get(&mut program.client(), &format!("{records}/large")).map(|text| text.len()), Some(2_000_000));
    succeeds(&run(back_up_loudly(&live, "../b")));
    program.stop();
}

#[test]
fn a_bucket_and_wrong_arguments_are_wrong_settings() {
    let work = tempfile::tempdir().expect("a folder");
    assert_eq!(run(command(work.path(), &["backup"])).status.code(), Some(2));
    let none = run(command(work.path(), &["backup", "b"]));
    assert!(none.status.code() == Some(1) && !work.path().join("b").exists(), "{}", said(&none));
    #[cfg(feature = "s3")]
    for command in ["backup", "restore"] {
        let mut of_bucket = self::command(work.path(), &[command, "b"]);
        of_bucket.env("LARDER_S3_BUCKET", "shop");
        let refused = run(of_bucket);
        assert!(refused.status.code() == Some(2) && refused.stderr.contains("bucket"), "{}", said(&refused));
    }
}

#[test]
fn backups_that_are_taken_one_after_the_other_leave_the_newest_ones() {
    let work = tempfile::tempdir().expect("a folder");
    let live = work.path().join("live");
    fs::create_dir(&live).expect("a folder");
    let program = Program::serve(&live, &[]);
    let path = program.records_of("pantry") + "/salt";
    let names = || {
        let entries = fs::read_dir(work.path().join("backups")).expect("it is there");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    let mut taken = Vec::new();
    for round in 0..3 {
        put(&mut program.client(), &path, &format!("{round}"));
        succeeds(&run(command(&live, &["backup", "--into", "../backups", "--keep", "2"])));
        taken.push(names().pop().expect("a backup"));
    }
    assert_eq!(names(), taken[1..], "the oldest is gone");
    program.stop();
    let newest = Path::new("backups").join(&taken[2]).display().to_string();
    let program = restored(work.path(), &newest, "again");
    assert_eq!(get(&mut program.client(), &path).as_deref(), Some("2"));
    for wrong in [&["backup"][..], &["backup", "../b", "--keep", "1"], &["backup", "--into", "../b", "--keep", "0"]] {
        assert_eq!(run(command(&live, wrong)).status.code(), Some(2), "{wrong:?}");
    }
}
