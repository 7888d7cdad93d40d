//! Starts of the program, and refusals to start.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    client::{Client, Upload},
    folder,
    program::{Program, TOKEN, command, run, until},
    scale,
    watcher::Watched,
};

/// Maximum duration of a start, however many records there are.
const MAX_START: Duration = Duration::from_secs(1);

/// Returns a program whose only setting is a free port, in an empty folder.
fn start_unconfigured(folder: &Path) -> Program {
    let mut command = command(folder, &["serve"]);
    command.env("LARDER_LISTEN", "127.0.0.1:0");
    Program::start(command)
}

#[test]
fn a_first_start_needs_nothing_and_shows_a_token_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = start_unconfigured(folder.path());
    let kept = folder::data(folder.path()).join("admin-token");
    let token = fs::read_to_string(&kept).expect("the token is kept").trim().to_owned();
    assert!(token.starts_with("larder_") && token.len() == 43, "{token}");
    assert_eq!(fs::metadata(&kept).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(stores(&program, &token), 200);
    assert_eq!(stores(&program, "larder_wrong"), 401);
    let address = program.address;
    let ended = program.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    let said = ended.stdout.join("\n");
    assert_eq!(said.matches(&token).count(), 1, "{said}");
    assert!(said.contains(&format!("http://{address}")), "{said}");
    assert!(!ended.stderr.contains(&token), "{}", ended.stderr);

    let program = start_unconfigured(folder.path());
    assert_eq!(stores(&program, &token), 200);
    let ended = program.stop();
    let said = ended.stdout.join("\n");
    assert!(!said.contains(&token) && said.contains("admin-token"), "{said}");
}

#[test]
fn a_given_token_is_the_only_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = start_unconfigured(folder.path());
    program.stop();
    let kept = fs::read_to_string(folder::data(folder.path()).join("admin-token")).expect("it is kept");
    let mut command = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    command.env("LARDER_TOKEN", "given");
    let program = Program::start(command);
    assert_eq!(stores(&program, "given"), 200);
    assert_eq!(stores(&program, kept.trim()), 401);
    let ended = program.stop();
    assert!(!ended.stdout.join("\n").contains("given"));
}

#[test]
fn health_says_live_and_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = start_unconfigured(folder.path());
    let mut client = program.client();
    for (path, status) in [("/health/live", "live"), ("/health/ready", "ready")] {
        let answer = client.send("GET", path, "text/plain", Upload::None).expect("it answers");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json; charset=utf-8")));
        let body: serde_json::Value = serde_json::from_str(&answer.text().expect("a body")).expect("JSON");
        assert_eq!(body["status"], status);
    }
    let url = format!("http://{}", program.address);
    assert_eq!(run(command(folder.path(), &["health", "--url", &url])).status.code(), Some(0));
    program.stop();
    let dead = run(command(folder.path(), &["health", "--url", &url]));
    assert_eq!(dead.status.code(), Some(1));
    assert!(dead.stderr.contains("no response"), "{}", dead.stderr);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let ended = run(command(folder.path(), &["serve", "--listen", &address]));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("in use"), "{}", ended.stderr);
    let errors: Vec<_> = ended.stderr.lines().filter(|line| line.contains(&address)).collect();
    assert!(errors.len() == 1 && errors[0].starts_with("error: "), "{}", ended.stderr);
    assert_eq!(errors[0].matches("in use").count(), 1, "{}", ended.stderr);
    assert!(!folder::data(folder.path()).join("admin-token").exists());
}

#[test]
fn a_data_folder_that_is_taken_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let ended = run(command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("larder-data"), "{}", ended.stderr);
    assert!(ended.stderr.contains("another"), "{}", ended.stderr);
    // The first one is none the worse for it.
    program.records_of("still-there");
    assert!(program.stop().status.success());
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), "in the way").expect("it is written");
    let ended = run(command(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--data", "file/data"]));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("file/data"), "{}", ended.stderr);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("larder.toml"), "lissten = '127.0.0.1:1'").expect("it is written");
    for subcommand in ["serve", "check"] {
        let mut command = command(folder.path(), &[subcommand, "--idle-timeout", "never"]);
        command.env("LARDER_MAX_RECORD_SIZE", "huge").env("LARDER_TOKEN", "a b");
        let ended = run(command);
        assert_eq!(ended.status.code(), Some(2));
        for said in ["4 errors", "lissten", "listen?", "--idle-timeout", "LARDER_MAX_RECORD_SIZE", "LARDER_TOKEN"] {
            assert!(ended.stderr.contains(said), "{said} is not in {}", ended.stderr);
        }
        assert!(!folder::data(folder.path()).exists());
    }
}

#[test]
fn an_upstream_takes_both_its_settings_and_nothing_is_made_before() {
    for (name, value) in [("LARDER_UPSTREAM_URL", "http://127.0.0.1:9"), ("LARDER_UPSTREAM_TOKEN", "s3cret")] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
        command.env(name, value).env("LARDER_TOKEN", TOKEN);
        let ended = run(command);
        assert!(!ended.status.success());
        assert!(ended.stderr.contains(", or neither") && !ended.stderr.contains("s3cret"), "{}", ended.stderr);
        assert!(!folder::data(folder.path()).exists());
    }
}

#[test]
fn the_first_line_says_what_runs_where_over_what() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    command.env("LARDER_TOKEN", TOKEN).env("LARDER_PUBLIC_URL", "https://larder.example");
    let program = Program::start(command);
    let address = program.address.to_string();
    let ended = program.stop();
    let first = ended.stderr.lines().next().expect("a line");
    let data = fs::canonicalize(folder::data(folder.path())).expect("it was made");
    for said in [
        concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""),
        &format!("backend=\"the data folder {}\"", data.display()),
        "mode=\"standalone\"",
        &format!("listen={address}"),
        "public_url=\"https://larder.example\"",
        "tls=\"off\"",
        "console=\"https://larder.example/console/\"",
    ] {
        assert!(first.contains(said), "{said} is not in {first}");
    }
    assert!(ended.stdout.contains(&"Console: https://larder.example/console/".to_owned()), "{:?}", ended.stdout);
}

/// Holds each line to being a JSON object, and returns them.
fn json_lines(text: &str) -> Vec<serde_json::Value> {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.filter(|line: &serde_json::Value| line.is_object()).collect()
}

#[test]
fn a_log_in_json_has_nothing_else_between_its_lines_and_no_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let file = || fs::File::options().append(true).create(true).open(&log).expect("a file");
    let read = || fs::read_to_string(&log).expect("text");
    let mut serve = command(folder.path(), &["serve", "--log-format", "json"]);
    serve.env("LARDER_LISTEN", "127.0.0.1:0").stdout(file()).stderr(file());
    let mut program = Watched::new(serve.spawn().expect("it starts"));
    until("it serves", || read().contains("\"serving\""));
    kill_process(Pid::from_child(&program), Signal::TERM).expect("it runs");
    assert!(program.wait().expect("it ends").success());
    let lines = json_lines(&read());
    assert_eq!(
        (lines[0]["message"].as_str(), lines[0]["mode"].as_str()),
        (Some("starting Larder"), Some("standalone"))
    );
    let kept = folder::data(folder.path()).join("admin-token");
    let token = fs::read_to_string(&kept).expect("the token is kept");
    assert!(!read().contains(token.trim()), "{}", read());
    let made: Vec<_> = lines.iter().filter(|line| line["message"] == "admin token generated").collect();
    assert!(made.len() == 1 && made[0]["kept_in"].as_str().is_some_and(|place| place.ends_with("admin-token")));

    // The error that ends a start is logged, whatever the log leaves out: a port that is taken, and settings that are
    // wrong.
    let occupant = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = occupant.local_addr().expect("an address").to_string();
    let mut serve = command(folder.path(), &["serve", "--listen", &address]);
    serve.env("LARDER_LOG_FORMAT", "json").env("LARDER_LOG", "off");
    let ended = run(serve);
    let lines = json_lines(&ended.stderr);
    assert!(ended.stdout.is_empty() && lines.len() == 1, "{}", ended.stderr);
    assert!(lines[0]["level"] == "ERROR" && lines[0]["message"].as_str().is_some_and(|text| text.contains("in use")));
    let mut serve = command(folder.path(), &["serve", "--log-format", "json"]);
    serve.env("LARDER_PORT", "9000");
    let ended = run(serve);
    let lines = json_lines(&ended.stderr);
    assert!(lines.len() == 1 && lines[0]["message"].as_str().is_some_and(|text| text.contains("LARDER_LISTEN")));
}

#[test]
fn a_token_that_can_be_guessed_is_served_to_this_machine_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    for token in ["short", "change-this-token"] {
        let mut serve = command(folder.path(), &["serve", "--listen", "0.0.0.0:0"]);
        serve.env("LARDER_TOKEN", token);
        let ended = run(serve);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("LARDER_TOKEN: [redacted]") && !ended.stderr.contains(token), "{}", ended.stderr);
        assert!(!folder::data(folder.path()).exists());
    }
    let mut serve = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    serve.env("LARDER_TOKEN", "short");
    let ended = Program::start(serve).stop();
    assert!(ended.stderr.contains("fewer than 16 characters"), "{}", ended.stderr);
}

#[test]
fn a_folder_of_other_things_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    fs::create_dir(&home).expect("a folder");
    fs::write(home.join("letter.txt"), "x").expect("it is written");
    let ended = run(command(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--data", "home"]));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("home is not a data folder, and contains letter.txt"), "{}", ended.stderr);
    assert_eq!(fs::read_dir(&home).expect("a folder").count(), 1);
}

#[test]
fn nothing_is_made_by_a_look() {
    let folder = tempfile::tempdir().expect("a folder");
    for look in [
        &["user", "list"][..],
        &["user", "show", "admin"],
        &["token", "list"],
        &["store", "access", "~pantry"],
        &["clock"],
        &["sign", "~pantry"],
        &["export", "~pantry", "pantry.zip"],
    ] {
        let mut look = command(folder.path(), look);
        // Nothing listens there.
        look.env("LARDER_LISTEN", "127.0.0.1:9");
        let ended = run(look);
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.stderr.contains("there is no data in the folder"), "{}", ended.stderr);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}

#[test]
fn check_shows_what_serve_would_run_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = command(folder.path(), &["check", "--listen", "127.0.0.1:9"]);
    command.env("LARDER_TOKEN", "s3cret");
    let ended = run(command);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let shown = ended.stdout.join("\n");
    assert!(shown.contains("listen = \"127.0.0.1:9\"") && shown.contains("[redacted]"), "{shown}");
    assert!(!shown.contains("s3cret"));
}

#[test]
fn a_public_listener_without_a_public_url_warns() {
    for (url, warns) in [(None, true), (Some("http://larder.example"), false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = command(folder.path(), &["serve", "--listen", "0.0.0.0:0"]);
        command.envs(url.map(|url| ("LARDER_PUBLIC_URL", url)));
        let ended = Program::start(command).stop();
        assert_eq!(ended.stderr.contains("LARDER_PUBLIC_URL"), warns, "{}", ended.stderr);
    }
}

#[test]
fn a_start_takes_less_than_a_second_however_many_records_there_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let path = program.records_of("many");
    let records = scale::start_records();
    let writers = 8;
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let (address, path) = (program.address, &path);
            scope.spawn(move || {
                let mut client = Client::connect(address, TOKEN).expect("it accepts");
                for record in (writer..records).step_by(writers) {
                    let mut body = &b"a small record"[..];
                    let upload = Upload::Known(body.len() as u64, &mut body);
                    let path = format!("{path}/record-{record}");
                    let answer = client.send("PUT", &path, "text/plain", upload).expect("it answers");
                    assert_eq!(answer.status, 201);
                    answer.text().expect("a body");
                }
            });
        }
    });
    program.kill();
    let program = Program::serve(folder.path(), &[]);
    println!("{records} records: the start took {:?}", program.start_time);
    assert!(program.start_time < MAX_START, "{records} records: the start took {:?}", program.start_time);
}

/// Returns the status of listing all stores with `token`.
fn stores(program: &Program, token: &str) -> u16 {
    let mut client = Client::connect(program.address, token).expect("it accepts");
    client.send("GET", "/v2/key-value-stores", "text/plain", Upload::None).expect("it answers").status
}
