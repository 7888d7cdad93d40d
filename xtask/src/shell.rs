//! Running other programs: where they run, what they are told, what is said when they fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How much of a log is shown when something went wrong.
const SHOWN_LINES: usize = 40;

/// The repository's root folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo builds Larder.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // Relative to where cargo was started, as cargo itself takes it.
        Some(folder) => std::env::current_dir().unwrap_or_else(|_| root().to_owned()).join(folder),
        None => root().join("target"),
    }
}

/// The cargo that started this program, at the repository's root, building where [`target`] says.
pub fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = program_at_root(program);
    command.args(arguments).env("CARGO_TARGET_DIR", target());
    // What cargo has told this program about itself. Dependencies that watch these would be built anew whenever cargo
    // is run by hand and then from here.
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&variable);
        }
    }
    command
}

/// Any program, at the repository's root.
pub fn program_at_root(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs a program to its end, its output visible.
///
/// # Errors
/// In words, when it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|error| format!("{} cannot be started: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", shown(command))) }
}

/// What a program writes to its output, or `None` when it cannot be started or does not succeed.
pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let result = program_at_root(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    result.status.success().then(|| String::from_utf8_lossy(&result.stdout).trim().to_owned())
}

/// What a command writes to its output; its errors are shown.
///
/// # Errors
/// In words, when it cannot be started or does not succeed.
pub fn output_of(command: &mut Command) -> Result<String, String> {
    let result = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let result = result.map_err(|error| format!("{} cannot be started: {error}", shown(command)))?;
    if result.status.success() {
        Ok(String::from_utf8_lossy(&result.stdout).into_owned())
    } else {
        Err(format!("{} failed: {}", shown(command), result.status))
    }
}

/// Whether a program can be started and succeeds, whatever it writes.
pub fn is_successful(program: &str, arguments: &[&str]) -> bool {
    let mut command = program_at_root(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The last lines of a log, under its name.
pub fn end_of_log(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("\n");
    format!("The end of {}:\n{shown}", log.display())
}

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
