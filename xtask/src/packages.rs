//! Packages that the checks run on, installed below the target folder from lock files: from PyPI into virtual environments,
//! from npm beside copies of the sources that import them.
//!
//! A folder is installed once, and again only when its lock file changes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{shell, tools};

/// Names under which a Python may be installed, the likeliest first.
const PYTHON_NAMES: [&str; 6] = ["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11"];

/// Prints `new` if this Python is new enough for the official client.
const PYTHON_VERSION_CHECK: &str = "import sys; print('new' if sys.version_info >= (3, 11) else 'old')";

/// Makes sure of a Python that can make virtual environments, and gives its name.
///
/// # Errors
/// Returns a message with the command that installs what is missing.
pub fn need_python() -> Result<&'static str, String> {
    let python = find_python().or_else(|| {
        tools::install_packages(&["python3", "python3-venv"]);
        find_python()
    });
    let python = python.ok_or(
        "Python 3.11 or newer is missing; install it with: apt-get install python3 python3-venv \
         (or from https://www.python.org/downloads)",
    )?;
    let makes_environments = || shell::output(python, &["-c", "import venv, ensurepip"]).is_some();
    if !makes_environments() {
        tools::install_packages(&["python3-venv"]);
    }
    if !makes_environments() {
        return Err(format!("{python} has no module venv; install it with: apt-get install {python}-venv"));
    }
    Ok(python)
}

/// Makes a virtual environment with exactly what `requirements` lists.
///
/// # Errors
/// Returns a message when a command fails.
pub fn install_python(requirements: &Path, folder: &Path) -> Result<(), String> {
    let python = need_python()?;
    // One that was left half done, or made by a Python since removed, is made again.
    shell::run(shell::program_at_root(python).args(["-m", "venv", "--clear"]).arg(folder))?;
    let mut pip = shell::program_at_root(interpreter(folder));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]);
    shell::run(pip.arg(requirements))
}

/// Installs exactly the packages of `requirements` into a folder, for a Python with that folder in `PYTHONPATH`.
///
/// # Errors
/// Returns a message when a command fails.
pub fn install_python_beside(environment: &Path, requirements: &Path, folder: &Path) -> Result<(), String> {
    let mut pip = shell::program_at_root(interpreter(environment));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target"]);
    shell::run(pip.arg(folder).arg("--requirement").arg(requirements))
}

/// Returns the Python of a virtual environment.
pub fn interpreter(folder: &Path) -> PathBuf {
    folder.join("bin").join("python")
}

fn find_python() -> Option<&'static str> {
    PYTHON_NAMES
        .into_iter()
        .find(|name| shell::output(name, &["-c", PYTHON_VERSION_CHECK]).is_some_and(|answer| answer == "new"))
}

/// Installs the packages of `lock` into `folder`, which has the `package.json` already, unless that was done before.
/// Scripts of packages do not run.
///
/// # Errors
/// Returns a message with the command that helps where there is one.
pub fn install_npm(lock: &Path, folder: &Path) -> Result<(), String> {
    tools::need_node()?;
    install_once_from(lock, folder, || {
        let mut npm = shell::program_at_root("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
        shell::run(npm.arg(folder))
    })
}

/// The file whose content says what a folder holds, put there last.
const STAMP: &str = "installed-from";

/// Installs what `wanted` describes (a lock file's bytes, a version) unless `folder` already holds exactly that.
///
/// # Errors
/// Returns a message when a file or folder cannot be made, and whatever `install` says.
pub fn install_once(wanted: &[u8], folder: &Path, install: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let stamp = folder.join(STAMP);
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    install()?;
    fs::write(&stamp, wanted).map_err(|error| format!("{} cannot be written: {error}", stamp.display()))
}

/// The same for what the file `lock` names.
///
/// # Errors
/// Those of [`install_once`], and when `lock` cannot be read.
pub fn install_once_from(
    lock: &Path,
    folder: &Path,
    install: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let wanted = fs::read(lock).map_err(|error| format!("{} cannot be read: {error}", lock.display()))?;
    install_once(&wanted, folder, install)
}

/// Folders among the sources that are no source: packages that were installed there by hand.
const INSTALLED_BY_HAND: [&str; 3] = ["node_modules", ".venv", "__pycache__"];

/// Maximum depth of the sources.
const MAX_DEPTH: usize = 5;

/// Copies a folder's own files and folders over those of `to`.
///
/// # Errors
/// Returns a message when something cannot be read or written, or the folder is deeper than sources are.
pub fn copy_folder(from: &Path, to: &Path) -> Result<(), String> {
    copy_to_depth(from, to, MAX_DEPTH)
}

fn copy_to_depth(from: &Path, to: &Path, depth: usize) -> Result<(), String> {
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
            copy_to_depth(&entry.path(), &to.join(name), depth - 1)?;
        } else {
            copy_file(&entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}

/// Copies one file over another.
///
/// # Errors
/// Returns a message when it cannot be read or written.
pub fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be copied to {}: {error}", from.display(), to.display());
    fs::copy(from, to).map(|_| ()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lock_file_names_is_installed_once_and_again_when_it_changes() {
        let folder = std::env::temp_dir().join(format!("larder-xtask-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let (lock, installed) = (folder.join("lock"), folder.join("installed"));
        let mut times = 0;
        for (content, expected) in [("one", 1), ("one", 1), ("two", 2)] {
            fs::write(&lock, content).expect("a file in it");
            install_once_from(&lock, &installed, || {
                times += 1;
                Ok(())
            })
            .expect("nothing stands in the way");
            assert_eq!(times, expected, "{content}");
        }
        fs::write(&lock, "three").expect("a file in it");
        assert!(install_once_from(&lock, &installed, || Err("no network".to_owned())).is_err());
        let mut tried_again = false;
        install_once_from(&lock, &installed, || {
            tried_again = true;
            Ok(())
        })
        .expect("nothing stands in the way");
        assert!(tried_again, "a failed installation counts as none");
        fs::remove_dir_all(folder).expect("it can go");
    }
}
