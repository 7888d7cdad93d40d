//! A running Larder against its own description (`tests/openapi`): Schemathesis sends everything that the description
//! allows, and much that it does not, and the description must cover every response.

use std::path::PathBuf;

use crate::server::{Server, TOKEN};
use crate::{installed, python, shell};

fn sources() -> PathBuf {
    shell::root().join("tests").join("openapi")
}

fn environment() -> PathBuf {
    shell::target().join("openapi").join("environment")
}

/// Installs Schemathesis below the target folder, unless that was done before.
///
/// # Errors
/// Returns a message with the command that helps where there is one.
pub fn install() -> Result<(), String> {
    let requirements = sources().join("requirements.txt");
    installed::once_from(&requirements, &environment(), || python::install(&requirements, &environment()))
}

/// Holds a Larder over a new folder against its description.
///
/// # Errors
/// Returns a message with the end of the log, when an answer is not described or the server does not end well.
pub fn run() -> Result<(), String> {
    let server = Server::start("openapi", &[])?;
    let mut command = shell::program_at_root(python::interpreter(&environment()));
    command.arg("-B").arg(sources().join("driver.py")).env("LARDER_URL", &server.url).env("LARDER_TOKEN", TOKEN);
    // The server is on this machine: no proxy of the surroundings has a part in it.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    shell::run(&mut command).map_err(|error| format!("{error}\n{}", server.end_of_log()))?;
    server.stop()
}
