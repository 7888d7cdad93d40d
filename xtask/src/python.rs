//! The Python that the official client runs on, and a virtual environment of it below the target folder.

use std::path::{Path, PathBuf};

use crate::{shell, tools};

/// Names under which a Python may be installed, the likeliest first.
const NAMES: [&str; 6] = ["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11"];

/// Prints `fits` if this Python is new enough for the official client.
const IS_NEW_ENOUGH: &str = "import sys; print('fits' if sys.version_info >= (3, 11) else 'old')";

/// Makes sure of a Python that can make virtual environments, and gives its name.
///
/// # Errors
/// Returns a message with the command that installs what is missing.
pub fn need() -> Result<&'static str, String> {
    let python = find().or_else(|| {
        tools::install_packages(&["python3", "python3-venv"]);
        find()
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
pub fn install(requirements: &Path, folder: &Path) -> Result<(), String> {
    let python = need()?;
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
pub fn install_beside(environment: &Path, requirements: &Path, folder: &Path) -> Result<(), String> {
    let mut pip = shell::program_at_root(interpreter(environment));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target"]);
    shell::run(pip.arg(folder).arg("--requirement").arg(requirements))
}

/// Returns the Python of a virtual environment.
pub fn interpreter(folder: &Path) -> PathBuf {
    folder.join("bin").join("python")
}

fn find() -> Option<&'static str> {
    NAMES.into_iter().find(|name| shell::output(name, &["-c", IS_NEW_ENOUGH]).is_some_and(|answer| answer == "fits"))
}
