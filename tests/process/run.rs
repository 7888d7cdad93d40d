//! `larder run`: a command with a run, a store and a token behind it. The command is this program of tests itself.

use std::{
    env, fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    client::{Client, Upload},
    program::{Program, TOKEN, command, pause, run, until},
    watcher::Watched,
};

/// Variable that makes this program play an Actor, and names it.
const PLAYS: &str = "TESTS_PLAY";

/// A variable that the command may have.
const KEPT: &str = "AWS_REGION";

/// Returns a body with all bytes in it, and some more than are compressed or kept in a row.
fn input() -> Vec<u8> {
    (0..100_000_u32).map(|number| u8::try_from(number * 7919 % 251).expect("a byte")).chain(0..=255).collect()
}

/// `larder run` in a folder, of an Actor that is played here.
fn larder_run(folder: &Path, play: &str, arguments: &[&str]) -> Command {
    let mut command = command(folder, &["run", "--actor", "oven"]);
    command.args(arguments).arg("--").arg(env::current_exe().expect("it has a path"));
    command.args(["--exact", "run::this_program_is_an_actor_if_requested", "--nocapture"]);
    command.env(PLAYS, play).env("LARDER_TOKEN", TOKEN);
    command.envs([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_SESSION_TOKEN", "c")]);
    // Nothing listens there: a Larder that a developer runs on this machine is not for the tests.
    command.env("LARDER_LISTEN", "127.0.0.1:9");
    command
}

#[expect(clippy::disallowed_methods, reason = "an Actor finds its run by the environment")]
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// Returns the bytes that a server answers, and their media type; sends `body` if there is one.
fn ask(
    client: &mut Client,
    method: &str,
    path: &str,
    content_type: &str,
    body: Option<&[u8]>,
) -> (u16, String, Vec<u8>) {
    let mut bytes = body.unwrap_or_default();
    let upload = match body {
        Some(body) => Upload::Known(body.len() as u64, &mut bytes),
        None => Upload::None,
    };
    let mut answer = client.send(method, path, content_type, upload).expect("it answers");
    let (status, content_type) = (answer.status, answer.header("content-type").unwrap_or_default().to_owned());
    let mut bytes = Vec::new();
    answer.body.read_to_end(&mut bytes).expect("it is whole");
    (status, content_type, bytes)
}

fn data(client: &mut Client, path: &str) -> Value {
    let (status, _, body) = ask(client, "GET", path, "", None);
    assert_eq!(status, 200, "{path}");
    serde_json::from_slice::<Value>(&body).expect("JSON")["data"].take()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an Actor exits with a code")]
fn this_program_is_an_actor_if_requested() {
    let Ok(mut play) = env::var(PLAYS) else { return };
    if variable("ACTOR_INPUT_KEY") == "INPUT-METAMORPH-1" {
        "mirror".clone_into(&mut play);
    }
    let of_others = |name: &str| ["LARDER_", "AWS_"].iter().any(|own| name.starts_with(own)) && name != KEPT;
    assert!(env::vars_os().all(|(name, _)| !of_others(&name.to_string_lossy())), "a secret is passed on");
    let address = variable("APIFY_API_BASE_URL").replace("http://", "").parse().expect("an address");
    let mut client = Client::connect(address, &variable("APIFY_TOKEN")).expect("it listens");
    let records = format!("/v2/key-value-stores/{}/records", variable("ACTOR_DEFAULT_KEY_VALUE_STORE_ID"));
    let of_run = format!("/v2/actor-runs/{}", variable("ACTOR_RUN_ID"));
    assert_eq!(data(&mut client, &of_run)["status"], "RUNNING");
    match play.as_str() {
        "mirror" => {
            let key = variable("APIFY_INPUT_KEY");
            let (status, content_type, mut bytes) = ask(&mut client, "GET", &format!("{records}/{key}"), "", None);
            assert_eq!((status, content_type.as_str()), (200, "application/octet-stream"));
            bytes.reverse();
            let output = format!("{records}/OUTPUT");
            assert_eq!(ask(&mut client, "PUT", &output, "image/jpeg", Some(&bytes)).0, 201);
            std::process::exit(3);
        }
        "open" => {
            let (status, ..) = ask(&mut client, "POST", "/v2/key-value-stores?name=pantry", "", None);
            let text = format!("{{\"opened\":{status}}}");
            let output = format!("{records}/OUTPUT");
            assert_eq!(ask(&mut client, "PUT", &output, "application/json", Some(text.as_bytes())).0, 201);
            std::process::exit(0);
        }
        "become" => {
            let metamorph = format!("{of_run}/metamorph?targetActorId=~oven");
            assert_eq!(ask(&mut client, "POST", &metamorph, "application/octet-stream", Some(&input())).0, 200);
            pause(Duration::from_mins(1));
        }
        "wait" => {
            assert_eq!(ask(&mut client, "PUT", &format!("{records}/WAITS"), "", Some(b"x")).0, 201);
            pause(Duration::from_mins(1));
        }
        other => panic!("{other} is no Actor"),
    }
}

#[test]
fn what_a_command_reads_writes_and_exits_with_comes_through() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("input.bin"), input()).expect("it is written");
    let ended = run(larder_run(folder.path(), "mirror", &["--input", "input.bin", "--output", "output.jpg"]));
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    let mut expected = input();
    expected.reverse();
    assert!(fs::read(folder.path().join("output.jpg")).expect("it is saved") == expected, "OUTPUT is not what it was");

    let program = Program::serve(folder.path(), &[]);
    let last = data(&mut program.client(), "/v2/acts/oven/runs/last?origin=CLI");
    assert_eq!((&last["status"], &last["exitCode"]), (&Value::from("FAILED"), &Value::from(3)));
    let tokens = data(&mut program.client(), "/larder/v1/tokens");
    assert_eq!(tokens["count"], 0, "the token of the run is left");
    program.stop();
}

#[test]
fn a_server_that_runs_is_used_and_a_text_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let url = format!("http://{}", program.address);
    let elsewhere = tempfile::tempdir().expect("a folder");
    for (arguments, opened) in [(&["--url", &url][..], 403), (&["--url", &url, "--open-stores"], 201)] {
        let ended = run(larder_run(elsewhere.path(), "open", arguments));
        assert!(ended.status.success(), "{}", ended.stderr);
        assert_eq!(ended.stdout.last(), Some(&format!("{{\"opened\":{opened}}}")));
        assert!(ended.stderr.contains("ended as SUCCEEDED"), "{}", ended.stderr);
    }
    assert_eq!(fs::read_dir(elsewhere.path()).expect("a folder").count(), 0, "nothing is left where it ran");
    let mut nothing = command(elsewhere.path(), &["run", "--url", &url, "--", "./there-is-no-such-program"]);
    nothing.env("LARDER_TOKEN", TOKEN);
    assert_eq!(run(nothing).status.code(), Some(127));
    program.stop();
}

#[test]
fn a_run_that_becomes_itself_with_another_input_is_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = run(larder_run(folder.path(), "become", &["--output", "output.jpg"]));
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    let mut expected = input();
    expected.reverse();
    assert!(fs::read(folder.path().join("output.jpg")).expect("it is saved") == expected, "OUTPUT is not what it was");
}

#[test]
fn who_interrupts_it_aborts_the_run_and_so_does_who_asks_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let url = format!("http://{}", program.address);
    let mut client = program.client();
    let last = |client: &mut Client| ask(client, "GET", "/v2/acts/oven/runs/last", "", None);
    for (how, code) in [("signal", 130), ("request", 143)] {
        let mut command = larder_run(folder.path(), "wait", &["--url", &url]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut child = Watched::new(child);
        let waits = "/v2/acts/oven/runs/last/key-value-store/records/WAITS?status=RUNNING";
        until("the command waits", || ask(&mut client, "GET", waits, "", None).0 == 200);
        if how == "signal" {
            let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("an id");
            kill_process(id, Signal::INT).expect("it runs");
        } else {
            let run = serde_json::from_slice::<Value>(&last(&mut client).2).expect("JSON");
            let abort = format!("/v2/actor-runs/{}/abort", run["data"]["id"].as_str().expect("an id"));
            assert_eq!(ask(&mut client, "POST", &abort, "", None).0, 200);
        }
        assert_eq!(child.wait().expect("it ends").code(), Some(code), "{how}");
        assert_eq!(data(&mut client, "/v2/acts/oven/runs/last")["status"], "ABORTED", "{how}");
    }
    program.stop();
}

#[test]
fn a_run_whose_time_is_over_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = run(larder_run(folder.path(), "wait", &["--timeout", "2"]));
    assert_eq!(ended.status.code(), Some(143), "{}", ended.stderr);
    assert!(ended.stderr.contains("ended as TIMED-OUT"), "{}", ended.stderr);
}

/// Makes a user without rights run a command, if there are rights to lose. Returns the user.
fn without_rights(command: &mut Command, folder: &Path) {
    use std::os::unix::{fs::chown, process::CommandExt};
    const USER: u32 = 65_534;
    if rustix::process::geteuid().is_root() {
        chown(folder, Some(USER), Some(USER)).expect("root may");
        command.uid(USER).gid(USER);
    }
}

#[test]
fn neither_a_command_nor_others_of_its_user_see_the_secrets_of_larder() {
    let folder = tempfile::tempdir().expect("a folder");
    // The command can read its own environment, so the refusal for Larder's is not for lack of permissions.
    let script = "cat /proc/$PPID/environ >parent 2>denied; cat /proc/$$/environ >own; env >variables";
    let mut larder = command(folder.path(), &["run", "--actor", "oven", "--keep-env", KEPT, "--", "sh", "-c", script]);
    larder.env("LARDER_LISTEN", "127.0.0.1:9").env("LARDER_TOKEN", TOKEN);
    larder.envs([("AWS_SECRET_ACCESS_KEY", "of-the-bucket"), (KEPT, "here-1")]);
    without_rights(&mut larder, folder.path());
    let ended = run(larder);
    assert!(ended.status.success(), "{}", ended.stderr);
    let read = |file: &str| fs::read_to_string(folder.path().join(file)).expect("it is written");
    assert_eq!(read("parent"), "", "the environment of larder is read");
    assert!(read("denied").contains("denied"), "{}", read("denied"));
    let (own, variables) = (read("own"), read("variables"));
    for secret in [TOKEN, "of-the-bucket"] {
        assert!(!own.contains(secret) && !variables.contains(secret), "{secret} is passed on");
    }
    assert!(variables.contains("AWS_REGION=here-1") && variables.contains("APIFY_TOKEN="), "{variables}");
}

#[test]
fn what_a_server_was_given_by_its_environment_is_not_read_by_others_of_its_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    serve.env("LARDER_TOKEN", TOKEN);
    without_rights(&mut serve, folder.path());
    let program = Program::start(serve);
    for file in ["environ", "mem", "maps"] {
        let mut reader = Command::new("cat");
        reader.arg(format!("/proc/{}/{file}", program.id())).current_dir("/").stderr(Stdio::null());
        without_rights(&mut reader, folder.path());
        let read = reader.output().expect("it runs");
        assert!(!read.status.success() && read.stdout.is_empty(), "{file} is read");
    }
    program.stop();
}
