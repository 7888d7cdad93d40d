//! Clients that test a running Larder: the drivers of the official clients (`tests/clients`), installed below the target
//! folder from their lock files, and Schemathesis (`tests/openapi`), which sends all that the API description allows, and
//! much that it does not. Each runs against a Larder of its own.

use std::path::PathBuf;
use std::process::Command;

use crate::server::{Server, TOKEN};
use crate::{packages, shell};

/// A driver: one official client, as its registry ships it.
pub struct Driver {
    /// Its folder in `tests/clients`.
    pub name: &'static str,
    /// `true` if its installation takes a compiler, and so long that the quick steps come first.
    pub compiles: bool,
    /// Puts constant load on a Larder, if the driver has something for that.
    load: Option<fn(&Driver) -> Command>,
    install: fn(&Driver) -> Result<(), String>,
    command: fn(&Driver) -> Command,
}

/// All drivers, in the order in which they run.
pub static DRIVERS: [Driver; 4] = [
    Driver { name: "js", compiles: false, load: Some(node_load), install: install_npm, command: node },
    Driver { name: "python", compiles: false, load: Some(python_load), install: install_python, command: interpret },
    Driver { name: "cli", compiles: false, load: None, install: install_npm, command: node },
    Driver { name: "rust", compiles: true, load: None, install: build_rust, command: built },
];

impl Driver {
    fn source(&self) -> PathBuf {
        shell::root().join("tests").join("clients").join(self.name)
    }

    fn folder(&self) -> PathBuf {
        shell::target().join("clients").join(self.name)
    }

    /// Installs the client and its dependencies, unless that was done before.
    ///
    /// # Errors
    /// Returns a message with the command that helps where there is one.
    pub fn install(&self) -> Result<(), String> {
        (self.install)(self)
    }

    /// Returns `true` if it has a program that puts constant load on a Larder.
    pub fn has_load(&self) -> bool {
        self.load.is_some()
    }

    /// Runs the driver against a fresh Larder, over the object store that `settings` name, or else over a new folder.
    ///
    /// # Errors
    /// Returns a message with the end of the log, when a check fails or the server does not end well.
    pub fn run(&self, settings: &[(&str, String)]) -> Result<(), String> {
        let server = Server::start(self.name, settings)?;
        let mut command = (self.command)(self);
        command.env("LARDER_URL", &server.url).env("LARDER_TOKEN", TOKEN);
        // The server is on this machine: no proxy of the surroundings has a part in it.
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        shell::run(&mut command).map_err(|error| format!("{error}\n{}", server.end_of_log()))?;
        server.stop()
    }
}

/// Returns the programs that put load on a Larder until their input ends, by the clients that have one.
pub fn loads() -> Vec<(&'static str, Command)> {
    DRIVERS.iter().filter_map(|driver| Some((driver.name, (driver.load?)(driver)))).collect()
}

fn node_load(driver: &Driver) -> Command {
    let mut command = shell::program_at_root("node");
    command.arg(driver.folder().join("load.mjs"));
    command
}

fn python_load(driver: &Driver) -> Command {
    let mut command = shell::program_at_root(packages::interpreter(&driver.folder()));
    command.arg(driver.source().join("load.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn install_npm(driver: &Driver) -> Result<(), String> {
    let folder = driver.folder();
    // Modules are found from the importing file upwards, so the driver is in the same folder.
    packages::copy_folder(&driver.source(), &folder)?;
    packages::install_npm(&driver.source().join("package-lock.json"), &folder)
}

fn node(driver: &Driver) -> Command {
    let mut command = shell::program_at_root("node");
    command.arg(driver.folder().join("driver.mjs"));
    command
}

fn install_python(driver: &Driver) -> Result<(), String> {
    let (requirements, folder) = (driver.source().join("requirements.txt"), driver.folder());
    packages::install_once_from(&requirements, &folder, || packages::install_python(&requirements, &folder))
}

fn interpret(driver: &Driver) -> Command {
    let mut command = shell::program_at_root(packages::interpreter(&driver.folder()));
    command.arg(driver.source().join("driver.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn build_rust(driver: &Driver) -> Result<(), String> {
    let mut command = shell::cargo(&["build", "--quiet", "--locked", "--manifest-path"]);
    command.arg(driver.source().join("Cargo.toml")).env("CARGO_TARGET_DIR", driver.folder());
    shell::run(&mut command)
}

fn built(driver: &Driver) -> Command {
    shell::program_at_root(driver.folder().join("debug").join("larder-client-driver"))
}

fn schemathesis_sources() -> PathBuf {
    shell::root().join("tests").join("openapi")
}

fn schemathesis_environment() -> PathBuf {
    shell::target().join("openapi").join("environment")
}

/// Installs Schemathesis below the target folder, unless that was done before.
///
/// # Errors
/// Returns a message with the command that helps where there is one.
pub fn install_schemathesis() -> Result<(), String> {
    let requirements = schemathesis_sources().join("requirements.txt");
    packages::install_once_from(&requirements, &schemathesis_environment(), || {
        packages::install_python(&requirements, &schemathesis_environment())
    })
}

/// Holds a Larder over a new folder against its description.
///
/// # Errors
/// Returns a message with the end of the log, when an answer is not described or the server does not end well.
pub fn run_schemathesis() -> Result<(), String> {
    let server = Server::start("openapi", &[])?;
    let mut command = shell::program_at_root(packages::interpreter(&schemathesis_environment()));
    command
        .arg("-B")
        .arg(schemathesis_sources().join("driver.py"))
        .env("LARDER_URL", &server.url)
        .env("LARDER_TOKEN", TOKEN);
    // The server is on this machine: no proxy of the surroundings has a part in it.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    shell::run(&mut command).map_err(|error| format!("{error}\n{}", server.end_of_log()))?;
    server.stop()
}
