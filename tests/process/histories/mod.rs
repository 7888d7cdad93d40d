//! Histories: many clients do random operations, on gateways that are killed, paused and cut off from their object
//! store; then all responses are compared with the guarantees.
//!
//! * Records are linearizable: each operation happened at one moment between its request and its answer ([`register`]).
//! * A list has what was certainly there, and nothing that certainly was not ([`records`]).
//! * A name has one store at a time ([`names`]).
//! * An unnamed store lives to its end and not longer ([`lives`]).
//! * Who may read may, and who may not may not, within the staleness bound ([`rights`]).
//!
//! `LARDER_CHAOS_SEED` repeats the choices of a run (not its timing), `LARDER_CHAOS_SECONDS` makes it longer.

mod chaos;
mod clients;
mod linear;
mod lives;
mod names;
#[cfg(feature = "s3")]
mod network;
mod recorder;
mod records;
mod register;
mod rights;
mod stores;

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use chaos::{Network, NoNetwork, rage};
use clients::Cluster;
use lives::Lives;
use records::{Conditions, Records};
use rights::Rights;
use stores::Stores;

use crate::{
    crash_recovery::Choices,
    program::{TOKEN, command, now, pause},
    scale,
};

/// Workers on records, and on names.
const RECORD_WORKERS: u64 = 6;
const NAME_WORKERS: u64 = 4;
const LIFE_WORKERS: u64 = 2;

/// Delay that a busy machine may add to the staleness bound.
const SLACK: Duration = Duration::from_secs(1);

/// Operations for each second below which a history says nothing.
const LEAST_OPERATIONS: usize = 20;

/// A command that serves as a gateway.
type Serve = Box<dyn Fn() -> Command + Send + Sync>;

#[test]
fn over_a_folder_every_history_is_linearizable() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().to_owned();
    let serve: Serve = Box::new(move || {
        let mut command = command(&place, &["serve"]);
        command.env("LARDER_LISTEN", "127.0.0.1:0").env("LARDER_TOKEN", TOKEN);
        command
    });
    make_history("folder", vec![serve], &NoNetwork, Duration::ZERO, Conditions::Mixed);
}

#[cfg(feature = "s3")]
#[test]
fn over_a_bucket_every_history_of_two_gateways_is_linearizable() {
    network::make_history_over_a_bucket(scale::history_gateways());
}

/// Makes a history and compares it with the guarantees; `staleness` is the staleness bound of the gateways.
#[expect(clippy::print_stdout, reason = "the seed repeats a run, and what came of it is kept")]
fn make_history(of: &str, gateways: Vec<Serve>, network: &dyn Network, staleness: Duration, conditions: Conditions) {
    let (seed, time) = (scale::history_seed(), scale::history_duration());
    println!("{of}: LARDER_CHAOS_SEED={seed} LARDER_CHAOS_SECONDS={}", time.as_secs());
    let (count, began) = (gateways.len(), now());
    let staleness = if staleness.is_zero() { staleness } else { staleness + SLACK };
    let site = Cluster::start(gateways);
    let (path, rights, reader) = furnish(&site, seed, staleness);
    let records = Records::of(&site, path, began, conditions);
    let (stores, lives) = (Stores::since(began, staleness), Lives::default());
    let is_over = AtomicBool::new(false);
    let caller = |worker: u64| site.caller(seed ^ (worker + 1).rotate_left(40));
    let raged = thread::scope(|scope| {
        let is_over = &is_over;
        let mut workers = Vec::new();
        for worker in 0..RECORD_WORKERS {
            let records = &records;
            let caller = caller(worker);
            workers.push(scope.spawn(move || records.work(caller, is_over)));
        }
        for worker in 0..NAME_WORKERS {
            let (stores, caller) = (&stores, caller(100 + worker));
            workers.push(scope.spawn(move || stores.work(caller, is_over)));
        }
        for worker in 0..LIFE_WORKERS {
            let (lives, caller) = (&lives, caller(200 + worker));
            workers.push(scope.spawn(move || lives.work(caller, is_over)));
        }
        let (rights, ruler) = (&rights, caller(300));
        workers.push(scope.spawn(move || rights.rule(ruler, is_over)));
        let reader = site.caller_with(&reader, seed);
        workers.push(scope.spawn(move || rights.read(reader, is_over)));
        let site = &site;
        let chaos = scope.spawn(move || rage(site, network, Choices(seed), is_over));
        // A worker that finds a contradiction ends the whole at once.
        while began.elapsed() < time && !workers.iter().any(thread::ScopedJoinHandle::is_finished) {
            pause(Duration::from_millis(50));
        }
        is_over.store(true, Relaxed);
        chaos.join().expect("it does not panic")
    });
    network.calm();
    // Requests to the object store that will get no response are given up by then.
    pause(2 * staleness);
    site.stop();
    let told = "what was told is not true";
    let (operations, open, lists) = records.verify().unwrap_or_else(|report| panic!("seed {seed}: {told}: {report}"));
    let (on_names, open_names) = stores.verify().unwrap_or_else(|report| panic!("seed {seed}: {told}: {report}"));
    let (ends, looks) = lives.verify().unwrap_or_else(|report| panic!("seed {seed}: {told}: {report}"));
    let (spells, reads) = rights.verify().unwrap_or_else(|report| panic!("seed {seed}: {told}: {report}"));
    println!(
        "{of}: {count} gateways, seed {seed}, {} s, {raged} mishaps: {operations} operations on records ({open} without \
         an answer), {lists} lists, {on_names} on names ({open_names} without an answer), {ends} lives ({looks} looks), \
         {spells} rights ({reads} reads): all as promised",
        began.elapsed().as_secs()
    );
    let least = LEAST_OPERATIONS * usize::try_from(time.as_secs()).expect("a short time");
    assert!(operations >= least, "only {operations} operations: the history proves nothing");
}

/// Creates a store for records, and one that is opened to a user and closed again, with the user's token.
fn furnish(site: &Cluster, seed: u64, staleness: Duration) -> (String, Rights, String) {
    let mut admin = site.caller(seed);
    let json = "content-type: application/json\r\n";
    let mut made = |path: &str, body: &str, member: &str| {
        let answer = admin.ask("POST", path, json, body).expect("nothing is wrong yet");
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text);
        answer.data(member).expect("it is told")
    };
    let store = made("/v2/key-value-stores?name=histories", "", "id");
    let shared = made("/v2/key-value-stores?name=opened", "", "id");
    made("/larder/v1/users", r#"{"username":"reader"}"#, "username");
    let token = made("/larder/v1/tokens", r#"{"username":"reader"}"#, "token");
    let record = format!("/v2/key-value-stores/{shared}/records/k");
    let put = admin.ask("PUT", &record, "content-type: text/plain\r\n", "here").expect("nothing is wrong yet");
    assert_eq!(put.status, 201, "{}", put.text);
    let rights = Rights::to(record, format!("/larder/v1/stores/{shared}/access/reader"), staleness);
    (format!("/v2/key-value-stores/{store}/records"), rights, token)
}
