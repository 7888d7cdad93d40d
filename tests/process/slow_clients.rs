//! Clients that are too slow, and clients that are slow.

use std::time::Duration;

use crate::{
    client::{Client, Upload},
    program::{Program, now, pause},
};

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--header-timeout", "300ms"]);
    let began = now();
    let mut client = program.client();
    client.write(b"GET / HTTP/1.1\r\nhost: ").expect("it is sent");
    assert!(client.is_closed().expect("it is closed, not reset"));
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_connection_that_stands_idle_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--idle-timeout", "300ms"]);
    let mut client = program.client();
    for _ in 0..2 {
        assert_eq!(get(&mut client, "/health/live"), 200);
        pause(Duration::from_millis(100));
    }
    let began = now();
    assert!(client.is_closed().expect("it is closed, not reset"));
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[test]
fn a_slow_upload_is_taken_and_one_that_stands_still_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--stall-timeout", "500ms"]);
    let path = program.records_of("slow");
    let head = "content-type: text/plain\r\ncontent-length: 10\r\n";
    let mut slow = program.client();
    slow.begin("PUT", &format!("{path}/slow"), head).expect("it is sent");
    for _ in 0..10 {
        pause(Duration::from_millis(150));
        slow.write(b"x").expect("it is sent");
    }
    assert_eq!(slow.answer(false).expect("it answers").status, 201);
    let mut still = program.client();
    still.begin("PUT", &format!("{path}/still"), head).expect("it is sent");
    still.write(b"xxx").expect("it is sent");
    assert!(still.is_closed().expect("it is closed"));
    assert_eq!(get(&mut program.client(), &format!("{path}/still")), 404);
}

#[test]
fn a_refused_upload_sees_its_answer_and_no_reset() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--max-record-size", "1MiB"]);
    let path = program.records_of("refused");
    for (token, status) in [("wrong", 401), (crate::program::TOKEN, 413)] {
        let mut client = Client::connect(program.address, token).expect("it accepts");
        let length = 16 << 20;
        let mut body = std::io::Read::take(std::io::repeat(b'x'), length);
        let upload = Upload::Known(length, &mut body);
        let answer = client.send("PUT", &format!("{path}/big"), "text/plain", upload).expect("no reset");
        assert_eq!(answer.status, status);
        assert!(answer.text().expect("a whole body").contains("\"error\""));
    }
}

fn get(client: &mut Client, path: &str) -> u16 {
    let answer = client.send("GET", path, "text/plain", Upload::None).expect("it answers");
    let status = answer.status;
    answer.text().expect("a body");
    status
}
