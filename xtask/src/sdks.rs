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
const NPM_PROJECTS: [&str; 5] = ["javascript", "older/sdk-1", "older/sdk-2", "older/client-0", "older/client-1"];

/// Programs that are copied into such folders: a program finds its packages from where it stands upwards.
const NPM_PROGRAMS: [(&str, &str); 3] = [
    ("programs/sdk.mjs", "javascript/sdk.mjs"),
    ("older/sdk.cjs", "older/sdk-1/program.cjs"),
    ("older/sdk.cjs", "older/sdk-2/program.cjs"),
];

/// Packages of Python that are older than those of the examples, and need folders of their own.
const OLDER_PACKAGES: [(&str, &str); 4] = [
    ("older/python-sdk/sdk-1.txt", "older/packages/sdk-1"),
    ("older/python-sdk/sdk-3.txt", "older/packages/sdk-3"),
    ("older/python-client/client-1.txt", "older/packages/client-1"),
    ("older/python-client/client-2.txt", "older/packages/client-2"),
];

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
    for (program, place) in NPM_PROGRAMS {
        copy_file(&folder.join(program), &folder.join(place))?;
    }
    // Both wait for the network most of the time.
    std::thread::scope(|scope| {
        let npm = scope.spawn(|| install_npm(&folder));
        let python = install_python(&folder);
        npm.join().unwrap_or_else(|_| Err("the installation with npm panicked".to_owned())).and(python)
    })
}

fn install_npm(folder: &Path) -> Result<(), String> {
    for project in NPM_PROJECTS.map(|project| folder.join(project)) {
        npm::install(&project.join("package-lock.json"), &project)?;
    }
    Ok(())
}

fn install_python(folder: &Path) -> Result<(), String> {
    let requirements = folder.join("python").join("requirements.txt");
    installed::once_from(&requirements, &environment(), || python::install(&requirements, &environment()))?;
    for (requirements, packages) in OLDER_PACKAGES {
        let (requirements, packages) = (folder.join(requirements), folder.join(packages));
        installed::once_from(&requirements, &packages, || {
            python::install_beside(&environment(), &requirements, &packages)
        })?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in backticks in a cell of a table, in order.
    fn quoted(cell: &str) -> impl Iterator<Item = &str> {
        cell.split('`').skip(1).step_by(2)
    }

    #[test]
    fn every_line_of_what_works_names_tests_that_there_are() {
        let tests = shell::root().join("tests");
        let document = fs::read_to_string(shell::root().join("docs").join("COMPATIBILITY.md")).expect("it is there");
        let rows = document.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| held by |"));
        let mut named = 0;
        for row in rows {
            let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
            let (mut source, mut of_row) = (String::new(), 0);
            for quoted in quoted(cell) {
                if [".mjs", ".py", ".rs"].iter().any(|ending| quoted.ends_with(ending)) {
                    source = fs::read_to_string(tests.join(quoted)).unwrap_or_else(|error| panic!("{quoted}: {error}"));
                    continue;
                }
                // Some are the same test in both languages.
                let for_any = quoted.replace("javascript", "${language}").replace("python", "${language}");
                assert!(source.contains(quoted) || source.contains(&for_any), "there is no test {quoted:?}");
                of_row += 1;
            }
            assert!(of_row > 0, "no test holds this: {row}");
            named += of_row;
        }
        assert!(named > 20, "only {named} tests were found");
    }
}
