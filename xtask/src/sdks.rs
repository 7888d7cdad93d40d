//! The examples, the SDKs and programs of years ago (`examples`, `tests/sdks`): put together below the target folder with
//! whatever their lock files name, and run against a Larder of their own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::server::{Server, TOKEN};
use crate::{installed, npm, python, shell};

/// What of the sources is no source: packages that were installed there by hand.
const INSTALLED_BY_HAND: [&str; 3] = ["node_modules", ".venv", "__pycache__"];

/// How deep the sources are at most.
const MAX_DEPTH: usize = 4;

/// The folders with packages of npm, seen from where everything is put together.
const NPM_PROJECTS: [&str; 1] = ["javascript"];

fn folder() -> PathBuf {
    shell::target().join("sdks")
}

fn environment() -> PathBuf {
    folder().join("environment")
}

/// Puts everything together and installs what it stands on, unless that was done before.
///
/// # Errors
/// In words, with the command that helps where there is one.
pub fn install() -> Result<(), String> {
    let (root, folder) = (shell::root(), folder());
    copy(&root.join("tests").join("sdks"), &folder, MAX_DEPTH)?;
    copy(&root.join("examples"), &folder, MAX_DEPTH)?;
    // A program finds its packages from where it stands upwards.
    copy_file(&folder.join("programs").join("sdk.mjs"), &folder.join("javascript").join("sdk.mjs"))?;
    for project in NPM_PROJECTS.map(|project| folder.join(project)) {
        npm::install(&project.join("package-lock.json"), &project)?;
    }
    let requirements = folder.join("python").join("requirements.txt");
    installed::once_from(&requirements, &environment(), || python::install(&requirements, &environment()))
}

/// Runs all of it against a fresh Larder.
///
/// # Errors
/// In words with the end of the log, when a check fails or the server does not end well.
pub fn run() -> Result<(), String> {
    let server = Server::start("sdks", &[])?;
    let mut command = shell::program_at_root("node");
    command.arg(folder().join("driver.mjs")).env("LARDER_URL", &server.url).env("LARDER_TOKEN", TOKEN);
    command.env("LARDER_PROGRAM", shell::target().join("debug").join("larder"));
    command.env("SDKS_PYTHON", python::interpreter(&environment()));
    // All servers are on this machine: no proxy of the surroundings has a part in it.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    shell::run(&mut command).map_err(|error| format!("{error}\n{}", server.end_of_log()))?;
    server.stop()
}

/// Copies a folder's own files and folders.
fn copy(from: &Path, to: &Path, depth: usize) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be copied to {}: {error}", from.display(), to.display());
    if depth == 0 {
        return Err(format!("{} is deeper than expected", from.display()));
    }
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if INSTALLED_BY_HAND.iter().any(|by_hand| name == *by_hand) {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            copy(&entry.path(), &to.join(name), depth - 1)?;
        } else {
            copy_file(&entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be copied to {}: {error}", from.display(), to.display());
    fs::copy(from, to).map(|_| ()).map_err(failed)
}
