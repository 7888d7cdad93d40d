//! The files that deploy Larder (`deploy`, `docker-compose.yml`, `tests/deploy`): read by the tools that read them, and the program
//! started as they start it.

use std::path::PathBuf;

use crate::{packages, shell, tools};

/// Programs of Debian's that the checks run, what they are asked to see that they are there, and the package that has them.
const PROGRAMS: [(&str, &str, &str); 9] = [
    ("promtool", "--version", "prometheus"),
    ("docker-compose", "--version", "docker-compose"),
    ("systemd-analyze", "--version", "systemd"),
    ("nginx", "-v", "nginx-light"),
    ("haproxy", "-v", "haproxy"),
    ("caddy", "version", "caddy"),
    ("openssl", "version", "openssl"),
    ("ip", "-Version", "iproute2"),
    ("unshare", "--version", "util-linux"),
];

fn environment() -> PathBuf {
    shell::target().join("deploy").join("environment")
}

fn source() -> PathBuf {
    shell::root().join("tests").join("deploy")
}

/// Installs the tools, unless that was done before.
///
/// # Errors
/// Returns a message with the command that helps where there is one.
pub fn install() -> Result<(), String> {
    let is_missing = |(program, question, _): &&(&str, &str, &str)| !shell::is_successful(program, &[question]);
    let packages = || PROGRAMS.iter().filter(is_missing).map(|(_, _, package)| *package).collect::<Vec<_>>();
    if !packages().is_empty() {
        tools::install_packages(&packages());
    }
    let missing = packages();
    if !missing.is_empty() {
        let missing = missing.join(" ");
        return Err(format!(
            "Tools are missing that read what deploys Larder; install them with: apt-get install {missing}"
        ));
    }
    tools::need_strace()?;
    let requirements = source().join("requirements.txt");
    packages::install_once_from(&requirements, &environment(), || {
        packages::install_python(&requirements, &environment())
    })
}

/// Runs all checks.
///
/// # Errors
/// When one fails: the checks have said which, and why.
pub fn run() -> Result<(), String> {
    let mut command = shell::program_at_root(packages::interpreter(&environment()));
    command.arg(source().join("driver.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("LARDER_PROGRAM", shell::target().join("debug").join("larder"));
    // All servers are on this machine: no proxy of the surroundings has a part in it.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    shell::run(&mut command)
}
