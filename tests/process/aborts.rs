//! Clients that leave in the middle.

use crate::{
    client::Upload,
    folder,
    pattern::Pattern,
    program::{Program, until},
};

/// The largest value that is a row of the index, in bytes.
const INLINE: u64 = 64 * 1024;

/// Returns the points at which an upload is aborted, in bytes from its beginning and from its end.
fn cuts(length: u64) -> impl Iterator<Item = u64> {
    [0, 1, 2, 100, 8191, 8192, INLINE - 1, INLINE, INLINE + 1, length / 2, length - 2, length - 1]
        .into_iter()
        .filter(move |cut| *cut < length)
}

#[test]
fn an_aborted_upload_leaves_the_old_value_whatever_the_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let path = format!("{}/record", program.records_of("aborted"));
    let mut version = 1;
    for length in [10_000, INLINE, INLINE + 1, 300_000] {
        let old = Pattern { version, length: 1000 + length };
        write(&program, &path, old);
        for cut in cuts(length) {
            for is_chunked in [false, true] {
                version += 1;
                abort(&program, &path, Pattern { version, length }, cut, is_chunked);
                assert_eq!(read(&program, &path, old), Ok(()), "{length} bytes cut at {cut}, chunked: {is_chunked}");
            }
        }
        version += 1;
    }
    until("no unfinished upload is left", || folder::unfinished(folder.path()) == 0);
    assert_eq!(folder::large_values(folder.path()), 1, "one large record is there");
    assert!(program.stop().status.success());
}

#[test]
fn an_upload_whose_last_chunk_never_comes_is_no_upload() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let path = format!("{}/record", program.records_of("aborted"));
    let mut client = program.client();
    client.begin("PUT", &path, "content-type: text/plain\r\ntransfer-encoding: chunked\r\n").expect("it is sent");
    // Every byte of the body is there, but not the chunk that says that it was the last.
    client.write(b"5\r\nhello\r\n").expect("it is sent");
    drop(client);
    let mut client = program.client();
    let answer = client.send("GET", &path, "text/plain", Upload::None).expect("it answers");
    assert_eq!(answer.status, 404);
}

fn write(program: &Program, path: &str, pattern: Pattern) {
    let mut body = pattern.reader();
    let mut client = program.client();
    let answer = client.send("PUT", path, "application/octet-stream", Upload::Known(pattern.length, &mut body));
    let status = answer.expect("it answers").status;
    assert!(matches!(status, 200 | 201), "{status}");
}

fn read(program: &Program, path: &str, pattern: Pattern) -> Result<(), String> {
    let mut client = program.client();
    let mut answer = client.send("GET", path, "text/plain", Upload::None).expect("it answers");
    assert_eq!(answer.status, 200);
    pattern.check(&mut answer.body)
}

/// Sends the first `cut` bytes of the body, and leaves.
fn abort(program: &Program, path: &str, pattern: Pattern, cut: u64, is_chunked: bool) {
    let mut part = vec![0; usize::try_from(cut).expect("a small number")];
    pattern.fill(0, &mut part);
    let mut client = program.client();
    let framing = if is_chunked {
        "transfer-encoding: chunked\r\n".to_owned()
    } else {
        format!("content-length: {}\r\n", pattern.length)
    };
    client.begin("PUT", path, &format!("content-type: text/plain\r\n{framing}")).expect("it is sent");
    if is_chunked && cut > 0 {
        client.write(format!("{:x}\r\n", pattern.length).as_bytes()).expect("it is sent");
    }
    client.write(&part).expect("it is sent");
}
