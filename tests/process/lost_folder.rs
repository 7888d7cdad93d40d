//! The data folder goes away under a running gateway: writes fail, and readiness says why.

use std::{fs, path::Path, process::Command};

use crate::{client::Upload, folder::data, program::Program};

/// Returns the status of a response and its text.
fn ask(program: &Program, method: &str, path: &str, body: &'static [u8]) -> (u16, String) {
    let mut bytes = body;
    let upload = if body.is_empty() { Upload::None } else { Upload::Known(body.len() as u64, &mut bytes) };
    let mut client = program.client();
    let answer = client.send(method, path, "text/plain", upload).expect("it answers");
    (answer.status, answer.text().expect("a body"))
}

/// Serves, writes a record, has the folder lost, and asks for more.
fn lose(folder: &Path, how: impl FnOnce(&Path)) -> Program {
    let program = Program::serve(folder, &[]);
    let store = "/v2/key-value-stores";
    assert_eq!(ask(&program, "POST", &format!("{store}?name=before"), b"").0, 201);
    assert_eq!(ask(&program, "PUT", &format!("{store}/~before/records/a"), b"kept").0, 201);
    how(&data(folder));
    for (method, path) in [
        ("POST", format!("{store}?name=after")),
        ("POST", store.to_owned()),
        ("PUT", format!("{store}/~before/records/a")),
        ("PUT", format!("{store}/~before/records/b")),
        ("DELETE", format!("{store}/~before/records/a")),
        ("DELETE", format!("{store}/~before")),
    ] {
        let (status, text) = ask(&program, method, &path, if method == "PUT" { b"lost" } else { b"" });
        assert!((500..600).contains(&status), "{method} {path}: {status} {text}");
    }
    let (status, text) = ask(&program, "GET", "/health/ready", b"");
    assert!(status == 503 && text.contains("the data folder was removed, moved, replaced or unmounted"), "{text}");
    assert!(!text.contains(&folder.display().to_string()), "strangers are told a path: {text}");
    program
}

#[test]
fn a_gateway_whose_folder_is_removed_acknowledges_nothing_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = lose(folder.path(), |data| fs::remove_dir_all(data).expect("it is removed"));
    assert!(!data(folder.path()).exists(), "it was made anew");
    program.stop();
}

#[test]
fn a_gateway_whose_folder_is_moved_away_serves_again_once_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let away = folder.path().join("away");
    let program = lose(folder.path(), |data| fs::rename(data, &away).expect("it is moved"));
    fs::rename(&away, data(folder.path())).expect("it is moved back");
    let record = "/v2/key-value-stores/~before/records";
    assert_eq!(ask(&program, "GET", &format!("{record}/a"), b""), (200, "kept".to_owned()));
    assert_eq!(ask(&program, "PUT", &format!("{record}/c"), b"new").0, 201);
    program.kill();
    let again = Program::serve(folder.path(), &[]);
    assert_eq!(ask(&again, "GET", &format!("{record}/a"), b""), (200, "kept".to_owned()));
    assert_eq!(ask(&again, "GET", &format!("{record}/c"), b""), (200, "new".to_owned()));
    assert_eq!(ask(&again, "GET", &format!("{record}/b"), b"").0, 404);
    again.stop();
}

#[test]
fn a_gateway_over_whose_folder_another_disk_is_mounted_acknowledges_nothing() {
    // Only root can mount, and not in every container.
    let folder = tempfile::tempdir().expect("a folder");
    let mut is_mounted = true;
    let mount = |data: &Path| {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(data).output();
        is_mounted = mounted.is_ok_and(|ended| ended.status.success());
        if !is_mounted {
            fs::rename(data, folder.path().join("away")).expect("it is moved");
            fs::create_dir(data).expect("another folder");
        }
    };
    let program = lose(folder.path(), mount);
    assert_eq!(
        fs::read_dir(data(folder.path())).expect("a folder").count(),
        0,
        "something was written to another disk"
    );
    program.kill();
    if is_mounted {
        assert!(Command::new("umount").arg(data(folder.path())).status().expect("it runs").success());
    }
}
