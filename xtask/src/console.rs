//! The console in a browser (`console`, `tests/console`): put together below the target folder with what the lock file names, its
//! types checked, and driven against Larders of its own, over a folder and over an object store.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::backends::SEAWEEDFS;
use crate::server::{Server, TOKEN};
use crate::{packages, shell, tools};

/// Secret that signs links where the object store has no place for a generated one; for tests alone.
const SECRET: &str = "console-checks-secret-that-guards-nothing";

/// Folders that Prettier formats.
const FORMATTED: [&str; 3] = ["console/app", "console/style/*.css", "{.,checks}/*.mjs"];

fn folder() -> PathBuf {
    shell::target().join("console")
}

/// Puts everything together, and makes sure of a browser.
///
/// # Errors
/// Returns a message with the command that helps where there is one.
pub fn install() -> Result<(), String> {
    let (root, folder) = (shell::root(), folder());
    // Removes copies of files that no longer exist.
    for sources in ["console", "checks"] {
        let sources = folder.join(sources);
        if sources.exists() {
            fs::remove_dir_all(&sources)
                .map_err(|error| format!("{} cannot be emptied: {error}", sources.display()))?;
        }
    }
    packages::copy_folder(&root.join("tests").join("console"), &folder)?;
    packages::copy_folder(&root.join("console"), &folder.join("console"))?;
    packages::install_npm(&root.join("tests").join("console").join("package-lock.json"), &folder)?;
    tools::need_chromium().map(|_| ())
}

/// Checks the format of the console's modules, and the types in their comments.
///
/// # Errors
/// When one is wrong: the tools have said which.
pub fn sources() -> Result<(), String> {
    let tool = |path: [&str; 3]| {
        let mut command = Command::new("node");
        command.current_dir(folder()).arg(PathBuf::from("node_modules").join(path.iter().collect::<PathBuf>()));
        command
    };
    let mut format = tool(["prettier", "bin", "prettier.cjs"]);
    shell::run(format.args(["--config", "prettier.json", "--check"]).args(FORMATTED))
        .map_err(|error| format!("{error}\nnpx prettier --config tests/console/prettier.json --write mends that"))?;
    shell::run(tool(["typescript", "bin", "tsc"]).args(["--project", "."]))
}

/// Drives the console over a new folder.
///
/// # Errors
/// Returns a message with the end of the log, when a check fails or the server does not end well.
pub fn over_folder() -> Result<(), String> {
    drive("driver.mjs", "console", &[])
}

/// The same over an object store.
///
/// # Errors
/// Those of [`over_folder`].
pub fn over_object_store() -> Result<(), String> {
    let seaweedfs = SEAWEEDFS.start()?;
    let mut settings = seaweedfs.server.settings(&format!("console-{}/", std::process::id()));
    settings.push(("LARDER_SECRET", SECRET.to_owned()));
    drive("driver.mjs", "console-s3", &settings).map_err(|error| format!("{error}\n{}", seaweedfs.end_of_log()))
}

/// Makes pictures of every page (`target/screenshots`).
///
/// # Errors
/// Those of [`install`] and [`over_folder`].
pub fn screenshots(_: &[String]) -> Result<(), String> {
    install()?;
    shell::run(&mut shell::cargo(&["build", "--quiet", "--locked", "--bin", "larder"]))?;
    drive("screenshots.mjs", "screenshots", &[])
}

/// Measures the load times of pages with many stores and many keys (docs/PERFORMANCE.md).
///
/// # Errors
/// Those of [`install`] and [`over_folder`].
pub fn bench() -> Result<(), String> {
    install()?;
    shell::run(&mut shell::cargo(&["build", "--quiet", "--locked", "--bin", "larder"]))?;
    drive("bench.mjs", "console-bench", &[])
}

fn drive(program: &str, name: &str, settings: &[(&str, String)]) -> Result<(), String> {
    let server = Server::start(name, settings)?;
    let mut command: Command = shell::program_at_root("node");
    command.arg(folder().join(program)).env("LARDER_URL", &server.url).env("LARDER_TOKEN", TOKEN);
    command.env("CHROMIUM", tools::need_chromium()?).env("SCREENSHOTS", shell::target().join("screenshots"));
    // The server is on this machine: no proxy of the surroundings has a part in it.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    if let Some(only) = std::env::var_os("CONSOLE_ONLY") {
        command.arg(only);
    }
    shell::run(&mut command).map_err(|error| format!("{error}\n{}", server.end_of_log()))?;
    server.stop()
}
