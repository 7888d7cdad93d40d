//! Child processes: their folders, their environments, and their error messages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Number of lines of a log that are shown after a failure.
const SHOWN_LINES: usize = 40;

/// Returns the repository's root folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Returns the folder where cargo builds Larder.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // Relative to where cargo was started, as cargo itself takes it.
        Some(folder) => std::env::current_dir().unwrap_or_else(|_| root().to_owned()).join(folder),
        None => root().join("target"),
    }
}

/// Returns the cargo that started this program, at the repository's root, building where [`target`] says.
pub fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = program_at_root(program);
    command.args(arguments).env("CARGO_TARGET_DIR", target());
    // Variables that cargo has set for this program. Dependencies that watch these would be built anew whenever cargo
    // is run by hand and then from here.
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&variable);
        }
    }
    command
}

/// Returns the command of any program, at the repository's root.
pub fn program_at_root(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs a program to its end, its output visible.
///
/// # Errors
/// Returns a message when it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|error| format!("{} cannot be started: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", shown(command))) }
}

/// Returns the output of a program, or `None` when it cannot be started or does not succeed.
pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let result = program_at_root(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    result.status.success().then(|| String::from_utf8_lossy(&result.stdout).trim().to_owned())
}

/// Returns the output of a command; its errors are shown.
///
/// # Errors
/// Returns a message when it cannot be started or does not succeed.
pub fn output_of(command: &mut Command) -> Result<String, String> {
    let result = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let result = result.map_err(|error| format!("{} cannot be started: {error}", shown(command)))?;
    if result.status.success() {
        Ok(String::from_utf8_lossy(&result.stdout).into_owned())
    } else {
        Err(format!("{} failed: {}", shown(command), result.status))
    }
}

/// Returns `true` if a program can be started and succeeds, whatever it writes.
pub fn is_successful(program: &str, arguments: &[&str]) -> bool {
    let mut command = program_at_root(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Returns the last lines of a log, under its name.
pub fn end_of_log(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("\n");
    format!("The end of {}:\n{shown}", log.display())
}

/// Returns a command as a user would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
