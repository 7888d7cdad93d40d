//! Man pages, shell completions, and colours of the log: on a terminal only, and off if `NO_COLOR` is set.

use std::fs;
use std::path::Path;
use std::process::Command;

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
    assert!(status.code() == Some(1) && stderr.contains("cannot write manual pages to nowhere"), "{stderr}");
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

/// Runs a program in a terminal of its own until it is stopped once it has said that it listens, and prints all that it said.
const IN_A_TERMINAL: &str = r#"
import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
said, stopped = b"", False
try:
    while True:
        piece = os.read(terminal, 65536)
        said += piece
        if not piece:
            break
        if b"INFO" in said and not stopped:
            os.kill(pid, signal.SIGTERM)
            stopped = True
except OSError:
    pass
os.waitpid(pid, 0)
sys.stdout.buffer.write(said)
"#;

#[test]
fn a_terminal_gets_colours_unless_no_color_is_set() {
    for (no_color, is_coloured) in [(None, true), (Some("1"), false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let larder = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
        let mut python = Command::new("python3");
        python.args(["-c", IN_A_TERMINAL]).arg(larder.get_program()).args(larder.get_args());
        python.current_dir(folder.path()).env_remove("NO_COLOR");
        for (name, _) in larder.get_envs() {
            python.env_remove(name);
        }
        if let Some(value) = no_color {
            python.env("NO_COLOR", value);
        }
        let said = python.output().expect("python3 runs").stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("INFO"), "{said}");
        assert_eq!(said.contains('\u{1b}'), is_coloured, "{said:?}");
    }
}
