//! Colours of the log: on a terminal only, and not against the wish of its user.

use std::process::Command;

use crate::program::command;

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
