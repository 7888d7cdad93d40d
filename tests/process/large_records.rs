//! Records that do not fit into memory.

use crate::{
    client::Upload,
    folder,
    pattern::Pattern,
    program::{Program, now},
    scale,
};

/// Maximum growth of the program by a record of any size, in bytes.
pub const MAX_GROWTH: u64 = 64 << 20;

#[test]
fn a_record_of_gigabytes_goes_up_and_comes_down_in_flat_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let path = program.records_of("big");
    let small = Pattern { version: 1, length: 1 << 20 };
    let before = {
        // The fixed cost of a request, whatever its size, is no growth.
        upload(&program, &format!("{path}/small"), small, false);
        download(&program, &format!("{path}/small"), small);
        program.peak_memory()
    };
    let length = scale::big_record_bytes();
    for (version, is_chunked) in [(2, false), (3, true)] {
        let big = Pattern { version, length };
        let began = now();
        upload(&program, &format!("{path}/big"), big, is_chunked);
        let up = began.elapsed();
        let began = now();
        download(&program, &format!("{path}/big"), big);
        let down = began.elapsed();
        let growth = program.peak_memory() - before;
        println!("{length} bytes, chunked {is_chunked}: up {up:?}, down {down:?}");
        println!("peak {} MiB, grown by {} KiB", program.peak_memory() >> 20, growth >> 10);
        assert!(growth <= MAX_GROWTH, "grown by {growth} bytes");
    }
    assert_eq!(folder::large_values(folder.path()), 2);
    assert!(program.stop().status.success());
}

pub fn upload(program: &Program, path: &str, pattern: Pattern, is_chunked: bool) {
    let mut body = pattern.reader();
    let upload = if is_chunked { Upload::Chunked(&mut body) } else { Upload::Known(pattern.length, &mut body) };
    let mut client = program.client();
    let answer = client.send("PUT", path, "application/octet-stream", upload).expect("it answers");
    assert!(matches!(answer.status, 200 | 201), "{}", answer.status);
}

pub fn download(program: &Program, path: &str, pattern: Pattern) {
    let mut client = program.client();
    let mut answer = client.send("GET", path, "text/plain", Upload::None).expect("it answers");
    assert_eq!(answer.status, 200);
    assert_eq!(pattern.check(&mut answer.body), Ok(()));
}
