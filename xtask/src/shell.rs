//! Running other programs: where they run, what they are told, what is said when they fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
