//! `larder check --data`: its findings, the files that it leaves alone, and its exit codes.

use std::{
    fs,
    io::{Cursor, Read},
    path::Path,
};

use zip::ZipArchive;

use crate::{
    client::Upload,
    folder,
    program::{Ended, Program, command, run},
};

#[test]
fn an_example_is_a_configuration_as_it_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    // It is shown also where what is set is wrong.
    fs::write(folder.path().join("larder.toml"), "listen = 'nowhere'").expect("it can be written");
    let Ended { status, stdout, .. } = run(command(folder.path(), &["check", "--example"]));
    assert!(status.success() && stdout.iter().any(|line| line == "#listen = \"127.0.0.1:8011\""), "{stdout:?}");
    fs::write(folder.path().join("larder.toml"), stdout.join("\n")).expect("it can be written");
    let shown = run(command(folder.path(), &["check"]));
    assert!(shown.status.success() && shown.stdout.iter().any(|line| line.starts_with("listen = \"127.0.0.1:8011\"")));
}

fn check(folder: &Path) -> (String, Option<i32>) {
    let Ended { status, stdout, stderr } = run(command(folder, &["check", "--data"]));
    (format!("{}\n{stderr}", stdout.join("\n")), status.code())
}

#[test]
fn a_damaged_record_is_named_and_the_rest_is_still_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let (said, code) = check(folder.path());
    assert!(code == Some(1) && !folder::data(folder.path()).exists(), "there is nothing to check: {said}");

    let program = Program::serve(folder.path(), &[]);
    let records = program.records_of("shelf");
    let mut client = program.client();
    for (key, size) in [("sound", 300_000), ("broken", 200_000), ("small", 10)] {
        let bytes = vec![b'x'; size];
        let body = Upload::Known(bytes.len() as u64, &mut bytes.as_slice());
        let path = format!("{records}/{key}");
        let answer = client.send("PUT", &path, "text/plain", body).expect("an answer");
        assert_eq!(answer.status, 201);
        answer.text().expect("its end");
    }
    let (said, code) = check(folder.path());
    assert!(code == Some(1) && said.contains("in use"), "{said}");
    drop(client);
    program.stop();
    let (said, code) = check(folder.path());
    assert!(code == Some(0) && said.contains(" objects are intact ("), "{said}");

    let files = folder::files_below(&folder::data(folder.path()).join("blobs"));
    let broken = files.iter().find(|file| fs::metadata(file).expect("it is there").len() == 200_000);
    fs::write(broken.expect("it is a file of its own"), vec![b'y'; 200_000]).expect("it can be written");
    let (said, code) = check(folder.path());
    assert!(code == Some(1) && said.contains(" in all), 1 are damaged"), "{said}");
    let named: Vec<&str> = said.lines().filter(|line| line.starts_with("damaged: ")).collect();
    assert!(named.len() == 1 && named[0].contains("/kbroken: "), "{said}");

    let program = Program::serve(folder.path(), &[]);
    let mut client = program.client();
    for (key, size) in [("sound", 300_000), ("small", 10)] {
        let answer = client.send("GET", &format!("{records}/{key}"), "", Upload::None).expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text().expect("its end").len(), size);
    }
    let answer = client.send("GET", &format!("{records}/broken"), "", Upload::None).expect("an answer");
    assert!(answer.status >= 500 || answer.text().is_err(), "damage was handed out");

    let mut client = program.client();
    let mut answer = client.send("GET", &records, "", Upload::None).expect("an answer");
    assert_eq!(answer.status, 200);
    let mut bytes = Vec::new();
    answer.body.read_to_end(&mut bytes).expect("its end");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).expect("it is an archive");
    for (key, size) in [("sound", 300_000), ("small", 10), ("unreadable/broken", 0)] {
        assert_eq!(archive.by_name(key).expect("it is in the archive").size(), size, "{key}");
    }
}
