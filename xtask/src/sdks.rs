//! The examples, the SDKs and programs of years ago (`examples`, `tests/sdks`): put together below the target folder with
//! whatever their lock files name, and run against a Larder of their own.

use std::path::{Path, PathBuf};

use crate::server::{Server, TOKEN};
use crate::{packages, shell};

/// The folders with packages of npm, seen from where everything is put together.
const NPM_PROJECTS: [&str; 5] = ["javascript", "older/sdk-1", "older/sdk-2", "older/client-0", "older/client-1"];

/// Programs that are copied into such folders: a program searches for packages from its own folder upwards.
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

/// Puts everything together and installs its dependencies, unless that was done before.
///
/// # Errors
/// Returns a message with the command that helps where there is one.
pub fn install() -> Result<(), String> {
    let (root, folder) = (shell::root(), folder());
    packages::copy_folder(&root.join("tests").join("sdks"), &folder)?;
    packages::copy_folder(&root.join("examples"), &folder)?;
    for (program, place) in NPM_PROGRAMS {
        packages::copy_file(&folder.join(program), &folder.join(place))?;
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
        packages::install_npm(&project.join("package-lock.json"), &project)?;
    }
    Ok(())
}

fn install_python(folder: &Path) -> Result<(), String> {
    let requirements = folder.join("python").join("requirements.txt");
    packages::install_once_from(&requirements, &environment(), || {
        packages::install_python(&requirements, &environment())
    })?;
    for (requirements, packages) in OLDER_PACKAGES {
        let (requirements, packages) = (folder.join(requirements), folder.join(packages));
        packages::install_once_from(&requirements, &packages, || {
            packages::install_python_beside(&environment(), &requirements, &packages)
        })?;
    }
    Ok(())
}

/// Runs all of it against a fresh Larder.
///
/// # Errors
/// Returns a message with the end of the log, when a check fails or the server does not end well.
pub fn run() -> Result<(), String> {
    let server = Server::start("sdks", &[])?;
    let mut command = shell::program_at_root("node");
    command.arg(folder().join("driver.mjs")).env("LARDER_URL", &server.url).env("LARDER_TOKEN", TOKEN);
    command.env("LARDER_PROGRAM", shell::target().join("debug").join("larder"));
    command.env("SDKS_PYTHON", packages::interpreter(&environment()));
    // All servers are on this machine: no proxy of the surroundings has a part in it.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    shell::run(&mut command).map_err(|error| format!("{error}\n{}", server.end_of_log()))?;
    server.stop()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Returns the texts in backticks in a cell of a table, in order.
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
