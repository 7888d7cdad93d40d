//! Graceful shutdown of the program.

use std::{net::TcpStream, time::Duration};

use rustix::process::Signal;

use crate::{
    client::Upload,
    program::{Program, pause, until},
};

#[test]
fn an_upload_in_flight_is_finished_before_the_program_ends() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().expect("a folder");
        let program = Program::serve(folder.path(), &[]);
        let path = program.records_of("drained");
        let mut client = program.client();
        let head = "content-type: text/plain\r\ncontent-length: 10\r\n";
        client.begin("PUT", &format!("{path}/slow"), head).expect("it is sent");
        client.write(b"hello").expect("it is sent");
        // The request must have arrived before the signal, else there is nothing in flight.
        pause(Duration::from_millis(300));
        program.signal(signal);
        let address = program.address;
        until("no new connection is accepted", || TcpStream::connect(address).is_err());
        pause(Duration::from_millis(500));
        client.write(b"world").expect("it still reads");
        let answer = client.answer(false).expect("it still answers");
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("connection"), Some("close"));
        answer.text().expect("a whole body");
        let ended = program.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);

        let program = Program::serve(folder.path(), &[]);
        let mut client = program.client();
        let answer = client.send("GET", &format!("{path}/slow"), "text/plain", Upload::None).expect("it answers");
        assert_eq!(answer.text().expect("a body"), "helloworld");
    }
}

#[test]
fn an_upload_that_takes_longer_than_the_drain_is_cut_off_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--drain-timeout", "300ms"]);
    let path = program.records_of("drained");
    let mut client = program.client();
    let head = "content-type: text/plain\r\ncontent-length: 10\r\n";
    client.begin("PUT", &format!("{path}/slow"), head).expect("it is sent");
    client.write(b"hello").expect("it is sent");
    pause(Duration::from_millis(300));
    let ended = program.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let program = Program::serve(folder.path(), &[]);
    let mut client = program.client();
    let answer = client.send("GET", &format!("{path}/slow"), "text/plain", Upload::None).expect("it answers");
    assert_eq!(answer.status, 404);
}

#[test]
fn an_idle_program_ends_at_once_though_clients_are_connected() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--drain-timeout", "1h"]);
    let silent = program.client();
    let mut idle = program.client();
    idle.send("GET", "/health/live", "text/plain", Upload::None).expect("it answers").text().expect("a body");
    let ended = program.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    drop((silent, idle));
}

#[test]
fn a_draining_gateway_serves_until_balancers_have_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--drain-delay", "5s"]);
    let mut idle = program.client();
    let alive = |client: &mut crate::client::Client, path: &str| {
        let answer = client.send("GET", path, "", Upload::None).expect("it answers");
        let told = (answer.status, answer.header("connection").map(str::to_owned));
        answer.text().expect("a body");
        told
    };
    assert_eq!(alive(&mut idle, "/health/ready"), (200, None));
    program.signal(Signal::TERM);
    let close = || Some("close".to_owned());
    until("it is not ready", || alive(&mut program.client(), "/health/ready") == (503, close()));
    // Everything else is served, over connections that are there and over new ones, and each for the last time.
    assert_eq!(alive(&mut program.client(), "/v2/users/me"), (200, close()));
    assert_eq!(alive(&mut program.client(), "/health/live"), (200, close()));
    assert_eq!(alive(&mut idle, "/v2/users/me"), (200, close()));
    assert!(idle.is_closed().expect("it is closed, not reset"));
    let ended = program.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("shutdown requested"), "{}", ended.stderr);
}

#[test]
fn a_second_signal_does_not_wait_for_the_drain() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--drain-timeout", "1h"]);
    let path = program.records_of("drained");
    let mut client = program.client();
    client.begin("PUT", &format!("{path}/slow"), "content-length: 10\r\n").expect("it is sent");
    client.write(b"hello").expect("it is sent");
    pause(Duration::from_millis(300));
    program.signal(Signal::INT);
    let address = program.address;
    until("no new connection is accepted", || TcpStream::connect(address).is_err());
    program.signal(Signal::INT);
    let ended = program.wait();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("second signal"), "{}", ended.stderr);
}
