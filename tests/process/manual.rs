//! `larder man` and `larder completions`, read by what they are for: `man` and a shell.

use std::{fs, path::Path, process::Command};

use crate::program::{Ended, command, run};

/// Output and complaints of a program that has to be there.
fn ask(program: &str, arguments: &[&str], folder: &Path) -> (String, String, bool) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").env("MANPAGER", "cat");
    let output = command.output().unwrap_or_else(|error| panic!("{program} is to be installed: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.success())
}

#[test]
fn every_page_of_the_manual_is_one_that_man_shows_without_a_complaint() {
    let folder = tempfile::tempdir().expect("a folder");
    let Ended { status, stdout, stderr } = run(command(folder.path(), &["man", "--into", "."]));
    assert!(status.success() && stdout.is_empty(), "{stderr}");
    let mut pages: Vec<String> = fs::read_dir(folder.path())
        .expect("it is there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a text"))
        .collect();
    pages.sort_unstable();
    for expected in ["larder.1", "larder-serve.1", "larder-store-share.1"] {
        assert!(pages.iter().any(|page| page == expected), "{expected} is not in {pages:?}");
    }
    for page in &pages {
        let (shown, complaints, is_fine) = ask("man", &["--warnings", "--local-file", page], folder.path());
        assert!(is_fine && complaints.is_empty() && shown.contains("SYNOPSIS"), "{page}: {complaints}{shown}");
    }
    let one = run(command(folder.path(), &["man", "store", "share"])).stdout.join("\n");
    let written = fs::read_to_string(folder.path().join("larder-store-share.1")).expect("it is there");
    assert_eq!(one.trim_end(), written.trim_end());
    let (shown, ..) = ask("man", &["--local-file", "larder-serve.1"], folder.path());
    assert!(shown.contains("LARDER_MAX_RECORD_SIZE") && !shown.contains("LARDER_TOKEN"), "{shown}");
}

#[test]
fn a_page_of_no_command_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let Ended { status, stderr, .. } = run(command(folder.path(), &["man", "store", "eat"]));
    assert!(status.code() == Some(2) && stderr.contains("unknown command \"eat\""), "{stderr}");
    let Ended { status, stderr, .. } = run(command(folder.path(), &["man", "--into", "nowhere"]));
    assert!(status.code() == Some(1) && stderr.contains("cannot be written into nowhere"), "{stderr}");
}

#[test]
fn bash_completes_commands_flags_and_shells() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = run(command(folder.path(), &["completions", "bash"])).stdout.join("\n");
    fs::write(folder.path().join("larder.bash"), script).expect("it can be written");
    let (_, complaints, is_fine) = ask("bash", &["-n", "larder.bash"], folder.path());
    assert!(is_fine && complaints.is_empty(), "{complaints}");
    for (typed, completed) in [
        ("larder serv", "serve"),
        ("larder serve --li", "--listen"),
        ("larder store sha", "share"),
        ("larder completions fi", "fish"),
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let ask_for = format!(
            "source ./larder.bash && COMP_WORDS=({typed}) && COMP_CWORD={} && _larder larder {last} {before} && echo ${{COMPREPLY[@]}}",
            words.len() - 1
        );
        let (shown, complaints, _) = ask("bash", &["-c", &ask_for], folder.path());
        assert_eq!(shown.trim(), completed, "{typed}: {complaints}");
    }
}

#[test]
fn there_are_completions_for_every_usual_shell() {
    let folder = tempfile::tempdir().expect("a folder");
    for (shell, mark) in [
        ("zsh", "#compdef larder"),
        ("fish", "complete -c larder"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[larder]"),
    ] {
        let Ended { status, stdout, .. } = run(command(folder.path(), &["completions", shell]));
        assert!(status.success() && stdout.iter().any(|line| line.contains(mark)), "{shell}");
    }
    let Ended { status, stderr, .. } = run(command(folder.path(), &["completions", "sh"]));
    assert!(status.code() == Some(2) && stderr.contains("bash"), "{stderr}");
}
