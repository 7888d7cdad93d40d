//! `SIGHUP`: the settings that it reloads, those that it does not, and the effect of a mistake.

use std::{fs, io::Read, path::Path, time::Duration};

use rustix::process::Signal;

use crate::{
    client::{Client, Upload},
    program::{Program, TOKEN, pause, until},
};

/// Returns the status of an upload of so many bytes.
fn upload(program: &Program, path: &str, bytes: u64) -> u16 {
    let mut body = std::io::repeat(b'x').take(bytes);
    let mut client = program.client();
    client.send("PUT", path, "text/plain", Upload::Known(bytes, &mut body)).expect("it answers").status
}

/// Returns the status of a question with this token.
fn ask(program: &Program, token: &str, path: &str) -> u16 {
    let mut client = Client::connect(program.address, token).expect("it accepts");
    client.send("GET", path, "", Upload::None).expect("it answers").status
}

fn configure(folder: &Path, text: &str) {
    fs::write(folder.join("larder.toml"), text).expect("it is written");
}

#[test]
fn what_can_change_does_and_what_cannot_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    configure(folder.path(), "max_record_size = '1KiB'\nmetrics_token = 'one-token'\nlog = 'info'");
    let program = Program::serve(folder.path(), &[]);
    let path = format!("{}/a", program.records_of("reloaded"));
    let mut open = program.client();
    open.send("GET", "/health/live", "", Upload::None).expect("it answers").text().expect("a body");
    assert_eq!(upload(&program, &path, 2048), 413);
    assert_eq!((ask(&program, "one-token", "/metrics"), ask(&program, "other-token", "/metrics")), (200, 401));

    // Nothing changes unless it is asked for.
    let user = "user = 'newcomer'\nuser_token = 'larder_0123456789abcdefghijABCDEFGHIJ3mpbCX'";
    configure(
        folder.path(),
        &format!(
            "max_record_size = '4KiB'\nmetrics_token = 'other-token'\nidle_timeout = '5s'\nsecret = 'new'\n{user}"
        ),
    );
    pause(Duration::from_millis(300));
    assert_eq!(upload(&program, &path, 2048), 413);
    program.signal(Signal::HUP);
    until("the new limit holds", || upload(&program, &path, 2048) == 201);
    assert_eq!((ask(&program, "one-token", "/metrics"), ask(&program, "other-token", "/metrics")), (401, 200));
    assert_eq!(ask(&program, "larder_0123456789abcdefghijABCDEFGHIJ3mpbCX", "/v2/users/me"), 200);
    assert_eq!(ask(&program, TOKEN, "/v2/users/me"), 200);

    for broken in ["max_record_size = 'lots'", "max_record_size = '", "max_recrod_size = '1KiB'"] {
        configure(folder.path(), broken);
        program.signal(Signal::HUP);
        pause(Duration::from_millis(300));
        assert_eq!(upload(&program, &path, 2048), 201, "{broken}");
    }
    // A connection from before the reload is still open.
    assert_eq!(ask(&program, "other-token", "/metrics"), 200);
    assert_eq!(open.send("GET", "/health/live", "", Upload::None).expect("it answers").status, 200);
    let ended = program.stop();
    for said in [
        "larder.toml: max_record_size: \"lots\" is not a size",
        "larder.toml, line 1",
        "did you mean max_record_size?",
        "nothing was changed",
        "require a restart: idle_timeout, secret",
        "metrics_token",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    for secret in ["one-token", "other-token", "larder_0123456789"] {
        assert!(!ended.stderr.contains(secret), "{secret}: {}", ended.stderr);
    }
}

#[test]
fn the_log_says_more_after_a_reload_that_asks_for_more() {
    let folder = tempfile::tempdir().expect("a folder");
    configure(folder.path(), "log = 'error'");
    let program = Program::serve(folder.path(), &[]);
    // Logging of the start, where the level permits it, is over.
    program.records_of("quiet");
    configure(folder.path(), "log = 'info'");
    program.signal(Signal::HUP);
    pause(Duration::from_millis(500));
    let ended = program.stop();
    assert!(!ended.stderr.contains("serving"), "{}", ended.stderr);
    assert!(ended.stderr.contains("stopped"), "{}", ended.stderr);
}
